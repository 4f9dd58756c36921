"""Create a job in the local scheduler with Google's client."""

import os

import grpc
from google.cloud.scheduler_v1 import CloudSchedulerClient
from google.cloud.scheduler_v1.services.cloud_scheduler.transports import CloudSchedulerGrpcTransport

channel = grpc.insecure_channel(os.environ["CLOUD_SCHEDULER_EMULATOR_HOST"])  # such as 127.0.0.1:8087
transport = CloudSchedulerGrpcTransport(channel=channel)
client = CloudSchedulerClient(transport=transport)

job = client.create_job(
    parent="projects/my-project/locations/europe-west3",
    job={
        "name": "projects/my-project/locations/europe-west3/jobs/nightly",
        "schedule": "0 1 * * *",
        "time_zone": "Europe/Berlin",
        "pubsub_target": {"topic_name": "projects/my-project/topics/requests", "data": b"{}"},
    },
)
print(job.name, job.state.name)
