"""Routes of the sandbox only: ready-made batches, faults, key rotation, the ledger."""

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from deploy.sandbox.api.batches import hook_of
from deploy.sandbox.api.operations import operation_of
from deploy.sandbox.config import Scheme
from deploy.sandbox.delivery.deliveries import Dispatcher
from deploy.sandbox.delivery.signing import DynamicKeys
from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.google_api import (
    ApiError,
    Json,
    encode_compact,
    json_answer,
    new_id,
    pick,
    read_object,
)
from deploy.sandbox.jobs.jobs import Jobs
from deploy.sandbox.ledger import Batch, Kind, Ledger, State

ADMIN_LIMIT_BYTES = 1 << 30


class ReadyBatch(msgspec.Struct, forbid_unknown_fields=True):
    """A batch that has already ended; nothing is generated for it."""

    state: State = State.SUCCEEDED
    result_path: str | None = None  # an existing file on this machine, served as the result file
    # instead of result_path: the raw output, such as `{"inlinedResponses": …}`
    output: dict[str, Any] | None = None
    request_count: int = 0
    failed_count: int = 0
    successful_count: int | None = None  # by default all that did not fail
    display_name: str | None = None
    model: str = "models/gemini-3.5-flash"
    kind: Kind = "generate"
    id: str | None = None  # by default a new one
    error: dict[str, Any] | None = None
    webhook_config: dict[str, Any] | None = None
    notify: bool = True  # tell the webhooks


class SignRequest(msgspec.Struct, forbid_unknown_fields=True):
    """An event that `trigger` wants signed like a dynamic delivery of the sandbox."""

    scheme: Scheme
    event: dict[str, Any]
    id: str = ""
    timestamp: int = 0
    audience: str = ""


class Admin:
    def __init__(self, ledger: Ledger, jobs: Jobs, dispatcher: Dispatcher, faults: Faults) -> None:
        self._ledger = ledger
        self._jobs = jobs
        self._dispatcher = dispatcher
        self._faults = faults
        self._faults_at_start = msgspec.to_builtins(faults)

    async def add_batch(self, request: Request) -> Response:
        """POST a ReadyBatch; answers its operation."""
        try:
            ready = msgspec.convert(
                await read_object(request, limit_bytes=ADMIN_LIMIT_BYTES), ReadyBatch
            )
        except msgspec.ValidationError as error:
            raise ApiError(400, f"No such batch can be made: {error}") from error
        if not ready.state.is_terminal:
            raise ApiError(400, "A ready-made batch has ended: its state must be an end state.")
        batch = self._batch_from(ready)
        self._ledger.batches[batch.id] = batch
        self._jobs.finish(batch, ready.state)
        if ready.notify:
            self._dispatcher.announce(batch)
        return json_answer(operation_of(batch, output=batch.output))

    async def notify(self, request: Request) -> Response:
        """Send the event of an ended batch again, as a new delivery with a new id."""
        batch = self._ledger.batches.get(request.path_params["batch"])
        if batch is None or not batch.state.is_terminal:
            raise ApiError(404, "No ended batch has this id.")
        self._dispatcher.announce(batch)
        return json_answer({})

    async def show_faults(self, _: Request) -> Response:
        return json_answer(msgspec.to_builtins(self._faults))

    async def set_faults(self, request: Request) -> Response:
        """POST the faults to change; the others stay as they are. Answers all of them."""
        self._faults.set(await read_object(request))
        return json_answer(msgspec.to_builtins(self._faults))

    async def reset_faults(self, _: Request) -> Response:
        """Reset the faults to the options of `serve`."""
        self._faults.set(self._faults_at_start)
        return json_answer({})

    async def reset(self, _: Request) -> Response:
        """Empty the sandbox: stop all jobs and deliveries, and reset the faults."""
        await self._jobs.close()
        await self._dispatcher.drop_all()
        self._ledger.forget()
        self._faults.set(self._faults_at_start)
        return json_answer({})

    async def rotate_keys(self, _: Request) -> Response:
        """New keys for dynamic deliveries; the old ones leave the key set at once."""
        self._dispatcher.keys = DynamicKeys()
        return json_answer({})

    async def sign(self, request: Request) -> Response:
        """POST a SignRequest; answers the `signature` that the published keys make for it."""
        try:
            asked = msgspec.convert(await read_object(request), SignRequest)
        except msgspec.ValidationError as error:
            raise ApiError(400, f"This cannot be signed: {error}") from error
        keys = self._dispatcher.keys
        if asked.scheme == "jwt":
            return json_answer({"signature": keys.sign_jwt(asked.audience, asked.event)})
        body = encode_compact(asked.event)
        return json_answer({"signature": keys.sign_v1a(asked.id, asked.timestamp, body)})

    async def show_ledger(self, _: Request) -> Response:
        batches = [_recorded(batch) for batch in self._ledger.batches.values()]
        deliveries = [dataclasses.asdict(delivery) for delivery in self._ledger.deliveries]
        return json_answer({"batches": batches, "deliveries": deliveries})

    async def show_payments(self, _: Request) -> Response:
        """Every answer that was charged for, with `serve --payments`."""
        return json_answer({"payments": [vars(one) for one in self._ledger.payments]})

    def _batch_from(self, ready: ReadyBatch) -> Batch:
        batch = Batch(
            number=self._ledger.next_number(),
            id=ready.id or new_id(),
            kind=ready.kind,
            model=ready.model,
            display_name=ready.display_name,
            request_count=ready.request_count,
            hook=hook_of(ready.webhook_config),
            output=ready.output,
            error=ready.error,
        )
        if ready.state is State.SUCCEEDED:
            batch.failed = ready.failed_count
            others = ready.request_count - ready.failed_count
            batch.successful = others if ready.successful_count is None else ready.successful_count
        if ready.result_path is not None:
            path = Path(ready.result_path)
            if not path.is_file():
                raise ApiError(400, f"{path} is not a file.")
            batch.input_file = f"files/{new_id(12)}"
            batch.output = {"responsesFile": f"files/{batch.result_id}"}
            self._ledger.results[batch.result_id] = path
        return batch


def _recorded(batch: Batch) -> Json:
    """A batch as it really is, without any faults."""
    return {
        "name": batch.name,
        "state": batch.state,
        "display_name": batch.display_name,
        "model": batch.model,
        "kind": batch.kind,
        "input_file": batch.input_file,
        "responses_file": pick(batch.output, "responsesFile"),
        "request_count": batch.request_count,
        "successful": batch.successful,
        "failed": batch.failed,
    }
