"""The gRPC service google.cloud.scheduler.v1.CloudScheduler."""

from __future__ import annotations

import sqlite3
import uuid
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from infra.emulators import rpc
from infra.emulators.clock import Clock
from infra.emulators.errors import ApiError, invalid
from infra.emulators.protos import scheduler_pb2 as pb
from infra.emulators.protos.scheduler_pb2 import Job
from infra.emulators.scheduler.jobs import SETTABLE, check_name, check_parent, complete_job
from infra.emulators.scheduler.runner import Publish, Runner
from infra.emulators.scheduler.store import JobEntry, Store

_SERVICE = "google.cloud.scheduler.v1.CloudScheduler"


class Service:
    """The methods of the service. No method awaits anything, so calls never interleave.

    Args:
        publish: publishes the messages of jobs with a Pub/Sub target.
        clock: the time of the schedules.
        database: keeps the jobs; stays open.
    """

    def __init__(self, publish: Publish, clock: Clock, database: sqlite3.Connection) -> None:
        self._clock = clock
        self._store = Store(database)
        self._runner = Runner(publish, clock, self._store.save)

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Return the handlers for a grpc.aio server; Google's package has no servicer class to derive from."""
        methods = {
            "ListJobs": rpc.unary(pb.ListJobsRequest, self.list_jobs),
            "GetJob": rpc.unary(pb.GetJobRequest, self.get_job),
            "CreateJob": rpc.unary(pb.CreateJobRequest, self.create_job),
            "UpdateJob": rpc.unary(pb.UpdateJobRequest, self.update_job),
            "DeleteJob": rpc.unary(pb.DeleteJobRequest, self.delete_job),
            "PauseJob": rpc.unary(pb.PauseJobRequest, self.pause_job),
            "ResumeJob": rpc.unary(pb.ResumeJobRequest, self.resume_job),
            "RunJob": rpc.unary(pb.RunJobRequest, self.run_job),
        }
        return [rpc.service(_SERVICE, methods)]

    def start(self) -> None:
        """Start the schedules of the jobs in the database; runs that were due in the meantime are skipped."""
        for job in self._store.stored():
            entry = JobEntry(job, *complete_job(job)[1:])
            self._store.restore(entry)
            self._runner.start(entry)

    async def close(self) -> None:
        """Cancel the tasks of all jobs."""
        for entry in self._store:
            self._runner.stop(entry)
        await self._runner.close()

    def list_jobs(self, request: pb.ListJobsRequest) -> pb.ListJobsResponse:
        """Return the jobs of a location."""
        entries, token = self._store.page(check_parent(request.parent), request.page_size, request.page_token)
        return pb.ListJobsResponse(jobs=[entry.view() for entry in entries], next_page_token=token)

    def get_job(self, request: pb.GetJobRequest) -> Job:
        """Return a job."""
        return self._entry(request).view()

    def create_job(self, request: pb.CreateJobRequest) -> Job:
        """Store a new job and start its schedule."""
        parent = check_parent(request.parent)
        wanted = request.job
        if not wanted.name:
            wanted.name = f"{parent}/jobs/{uuid.uuid4().hex}"
        if not check_name(wanted.name).startswith(f"{parent}/jobs/"):
            raise invalid(f"job.name: found {wanted.name}, expected a name below the parent, {parent}")
        entry = JobEntry(*complete_job(wanted))
        entry.job.state = Job.State.ENABLED
        entry.job.user_update_time.FromDatetime(self._clock.now())
        self._store.add(entry)
        self._runner.start(entry)
        return entry.view()

    def update_job(self, request: pb.UpdateJobRequest) -> Job:
        """Update the fields of the mask, or without a mask all given fields; a paused job stays paused."""
        changes = request.job
        entry = self._store.get(check_name(changes.name))
        job = Job()
        job.CopyFrom(entry.job)
        mask = _mask(changes, FieldMask(paths=request.update_mask.paths))
        mask.MergeMessage(changes, job, replace_message_field=True, replace_repeated_field=True)
        updated, cron, retries = complete_job(job)
        for field in SETTABLE:
            entry.job.ClearField(field)
        entry.job.MergeFrom(updated)
        entry.job.user_update_time.FromDatetime(self._clock.now())
        entry.cron, entry.retries = cron, retries
        self._store.save(entry)
        self._runner.start(entry)
        return entry.view()

    def delete_job(self, request: pb.DeleteJobRequest) -> Empty:
        """Delete a job."""
        self._runner.stop(self._store.remove(check_name(request.name)))
        return Empty()

    def pause_job(self, request: pb.PauseJobRequest) -> Job:
        """Stop a job's schedule until it is resumed."""
        entry = self._in_state(request, Job.State.ENABLED, "paused")
        entry.job.state = Job.State.PAUSED
        self._store.save(entry)
        self._runner.stop(entry)
        return entry.view()

    def resume_job(self, request: pb.ResumeJobRequest) -> Job:
        """Start a paused job's schedule again; runs that were due in the meantime are skipped."""
        entry = self._in_state(request, Job.State.PAUSED, "resumed")
        entry.job.state = Job.State.ENABLED
        self._store.save(entry)
        self._runner.start(entry)
        return entry.view()

    def run_job(self, request: pb.RunJobRequest) -> Job:
        """Start an execution of a job now, without waiting for it."""
        entry = self._entry(request)
        self._runner.run(entry)
        return entry.view()

    def _entry(self, request: Any) -> JobEntry:
        return self._store.get(check_name(request.name))

    def _in_state(self, request: Any, state: Job.State, verb: str) -> JobEntry:
        entry = self._entry(request)
        if entry.job.state != state:
            found = Job.State.Name(entry.job.state)
            raise ApiError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"Job {request.name} can't be {verb}: found state {found}, expected {Job.State.Name(state)}.",
            )
        return entry


def _mask(changes: Any, requested: Any) -> Any:
    """Return the requested mask, or else a mask of all given fields (https://google.aip.dev/134).

    The mask may name output-only fields; `complete_job` ignores them.
    """
    if not requested.paths:
        return FieldMask(paths=[field.name for field, _ in changes.ListFields() if field.name in SETTABLE])
    wrong = [path for path in requested.paths if not FieldMask(paths=[path]).IsValidForDescriptor(changes.DESCRIPTOR)]
    if wrong:
        raise invalid(f"update_mask: found {', '.join(wrong)}, expected fields of a job such as schedule")
    return requested
