"""The calls of google.cloud.scheduler.v1.CloudScheduler, and what each does to the jobs."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import grpc
from google.cloud.scheduler_v1 import types
from google.cloud.scheduler_v1.types import Job
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from infra.emulators.scheduler.clock import Clock
from infra.emulators.scheduler.errors import Refusal, invalid
from infra.emulators.scheduler.jobs import SETTABLE, check_name, check_parent, completed
from infra.emulators.scheduler.runner import Runner
from infra.emulators.scheduler.store import JobEntry, Store

_SERVICE = "google.cloud.scheduler.v1.CloudScheduler"


class Service:
    """Answers calls. None of them waits for anything, so each is done before the next begins."""

    def __init__(self, runner: Runner, clock: Clock) -> None:
        self._runner = runner
        self._clock = clock
        self._store = Store()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a server of grpc.aio calls; Google's package has no servicer to derive from."""
        methods: dict[str, tuple[Any, Callable[[Any], Any]]] = {
            "ListJobs": (types.ListJobsRequest, self.list_jobs),
            "GetJob": (types.GetJobRequest, self.get_job),
            "CreateJob": (types.CreateJobRequest, self.create_job),
            "UpdateJob": (types.UpdateJobRequest, self.update_job),
            "DeleteJob": (types.DeleteJobRequest, self.delete_job),
            "PauseJob": (types.PauseJobRequest, self.pause_job),
            "ResumeJob": (types.ResumeJobRequest, self.resume_job),
            "RunJob": (types.RunJobRequest, self.run_job),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                _answering(method), request_deserializer=request.deserialize, response_serializer=_serialize
            )
            for name, (request, method) in methods.items()
        }
        return grpc.method_handlers_generic_handler(_SERVICE, handlers)

    def close(self) -> None:
        """Leave all jobs alone."""
        for entry in self._store:
            self._runner.stop(entry)

    def list_jobs(self, request: types.ListJobsRequest) -> types.ListJobsResponse:
        """Return the jobs of a place."""
        entries, token = self._store.page(check_parent(request.parent), request.page_size, request.page_token)
        return types.ListJobsResponse(jobs=[entry.view() for entry in entries], next_page_token=token)

    def get_job(self, request: types.GetJobRequest) -> Job:
        """Return a job."""
        return self._entry(request).view()

    def create_job(self, request: types.CreateJobRequest) -> Job:
        """Keep a new job and follow its schedule."""
        parent = check_parent(request.parent)
        wanted = Job.pb(request.job)
        if not wanted.name:
            wanted.name = f"{parent}/jobs/{uuid.uuid4().hex}"
        if not check_name(wanted.name).startswith(f"{parent}/jobs/"):
            raise invalid(f"job.name: found {wanted.name}, expected a name below the parent, {parent}")
        entry = JobEntry(*completed(wanted))
        entry.job.state = Job.State.ENABLED
        entry.job.user_update_time.FromDatetime(self._clock.now())
        self._store.add(entry)
        self._runner.start(entry)
        return entry.view()

    def update_job(self, request: types.UpdateJobRequest) -> Job:
        """Change what the mask names, or without a mask all that is given; a paused job stays paused."""
        changes = Job.pb(request.job)
        entry = self._store.get(check_name(changes.name))
        job = Job.pb(Job())
        job.CopyFrom(entry.job)
        mask = _mask(changes, FieldMask(paths=request.update_mask.paths))
        mask.MergeMessage(changes, job, replace_message_field=True, replace_repeated_field=True)
        made, cron, retries = completed(job)
        for field in SETTABLE:
            entry.job.ClearField(field)
        entry.job.MergeFrom(made)
        entry.job.user_update_time.FromDatetime(self._clock.now())
        entry.cron, entry.retries = cron, retries
        self._runner.start(entry)
        return entry.view()

    def delete_job(self, request: types.DeleteJobRequest) -> Empty:
        """Forget a job."""
        self._runner.stop(self._store.remove(check_name(request.name)))
        return Empty()

    def pause_job(self, request: types.PauseJobRequest) -> Job:
        """Leave a job's schedule until it is resumed."""
        entry = self._in_state(request, Job.State.ENABLED, "paused")
        entry.job.state = Job.State.PAUSED
        self._runner.stop(entry)
        return entry.view()

    def resume_job(self, request: types.ResumeJobRequest) -> Job:
        """Follow a paused job's schedule again; what came due meanwhile is not made good."""
        entry = self._in_state(request, Job.State.PAUSED, "resumed")
        entry.job.state = Job.State.ENABLED
        self._runner.start(entry)
        return entry.view()

    def run_job(self, request: types.RunJobRequest) -> Job:
        """Have a job executed now; the answer doesn't wait for that."""
        entry = self._entry(request)
        self._runner.run(entry)
        return entry.view()

    def _entry(self, request: Any) -> JobEntry:
        return self._store.get(check_name(request.name))

    def _in_state(self, request: Any, state: Job.State, verb: str) -> JobEntry:
        entry = self._entry(request)
        if entry.job.state != state:
            found = Job.State(entry.job.state).name
            raise Refusal(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"Job {request.name} can't be {verb}: found state {found}, expected {state.name}.",
            )
        return entry


def _mask(changes: Any, asked: Any) -> Any:
    """Return the mask of what changes: what is asked for, or else what is there (https://google.aip.dev/134).

    The fields that only the scheduler sets may be named; `completed` leaves them out.
    """
    if not asked.paths:
        return FieldMask(paths=[field.name for field, _ in changes.ListFields() if field.name in SETTABLE])
    wrong = [path for path in asked.paths if not FieldMask(paths=[path]).IsValidForDescriptor(changes.DESCRIPTOR)]
    if wrong:
        raise invalid(f"update_mask: found {', '.join(wrong)}, expected fields of a job such as schedule")
    return asked


def _answering(method: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    async def call(request: Any, context: Any) -> Any:
        try:
            return method(request)
        except Refusal as refusal:
            await context.abort(refusal.code, refusal.text)

    return call


def _serialize(message: Any) -> bytes:
    plain = type(message).pb(message) if hasattr(type(message), "pb") else message
    data: bytes = plain.SerializeToString()
    return data
