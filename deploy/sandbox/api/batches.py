"""The Batch API's calls: create, get, list, cancel, delete, update."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from deploy.sandbox.api.operations import metadata_of, operation_of
from deploy.sandbox.api.quotas import Quotas
from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.faults.markers import plan_job, with_faults
from deploy.sandbox.google_api import (
    ApiError,
    Json,
    json_answer,
    new_id,
    now_ns,
    page_of,
    pick,
    read_object,
    refuse_unknown,
    snake,
)
from deploy.sandbox.jobs.jobs import Jobs
from deploy.sandbox.ledger import Batch, DynamicHook, Kind, Ledger, State

PAGE_LIMIT = 100
BATCH_FIELDS = ("displayName", "inputConfig", "webhookConfig", "priority", "model", "name")
INPUT_FIELDS = ("fileName", "requests")
CONTENT_FIELD: dict[Kind, str] = {"generate": "contents", "embed": "content"}


class Batches:
    def __init__(self, ledger: Ledger, jobs: Jobs, faults: Faults) -> None:
        self._ledger = ledger
        self._jobs = jobs
        self._faults = faults
        self._quotas = Quotas(ledger, faults)

    async def create_generate(self, request: Request) -> Response:
        return await self._create(request, "generate")

    async def create_embed(self, request: Request) -> Response:
        return await self._create(request, "embed")

    async def get(self, request: Request) -> Response:
        self._faults.raise_status("get_status")
        batch = self._find(request)
        output = batch.output
        if batch.state is State.SUCCEEDED and output is not None:
            if batch.gets_without_output > 0:
                batch.gets_without_output -= 1
                output = None
            elif self._faults.take("late_output"):
                output = None
        return json_answer(self._shown(batch, output))

    async def list_page(self, request: Request) -> Response:
        """Newest first, without inlined results, as the real service does it."""
        self._faults.raise_status("list_status")
        query = request.query_params
        batches = list(self._ledger.batches.values())
        page, token = page_of(
            batches, query.get("pageSize"), query.get("pageToken"), limit=PAGE_LIMIT
        )
        body = {"operations": [self._listed(batch) for batch in page], "nextPageToken": token}
        return json_answer({name: value for name, value in body.items() if value})

    async def cancel(self, request: Request) -> Response:
        await self._jobs.cancel(self._find(request))
        return json_answer({})

    async def delete(self, request: Request) -> Response:
        """Stop the job without telling its webhooks, and remove the batch."""
        batch = self._find(request)
        await self._jobs.close([batch.id])
        self._ledger.batches.pop(batch.id, None)
        return json_answer({})

    async def update(self, request: Request) -> Response:
        batch = self._find(request)
        body = await read_object(request)
        refuse_unknown(body, BATCH_FIELDS, "batch")
        mask = request.query_params.get("updateMask") or request.query_params.get("update_mask")
        names = (
            {snake(name.strip()) for name in mask.split(",")}
            if mask
            else {snake(name) for name in body}
        )
        if not names <= {"display_name", "priority"}:
            raise ApiError(400, "Only displayName and priority of a batch can be changed.")
        if "display_name" in names:
            batch.display_name = _text(pick(body, "displayName"), "displayName")
        if "priority" in names:
            batch.priority = str(pick(body, "priority") or 0)
        batch.updated_ns = now_ns()
        return json_answer(metadata_of(batch, batch.output, self._faults.state_prefix))

    async def _create(self, request: Request, kind: Kind) -> Response:
        self._faults.raise_status("create_status")
        body = await read_object(request)
        refuse_unknown(body, ("batch",), "")
        holder = body.get("batch")
        if not isinstance(holder, dict):
            raise ApiError(400, "Invalid value at 'batch': an object is needed.")
        refuse_unknown(holder, BATCH_FIELDS, "batch")
        config = pick(holder, "inputConfig")
        if not isinstance(config, dict):
            raise ApiError(400, "Invalid value at 'batch.input_config': an object is needed.")
        refuse_unknown(config, INPUT_FIELDS, "batch.input_config")
        file_name, requests = self._input_of(config, kind)
        priority = pick(holder, "priority")
        batch = Batch(
            number=self._ledger.next_number(),
            id=new_id(),
            kind=kind,
            model=f"{request.path_params['collection']}/{request.path_params['model']}",
            display_name=_text(pick(holder, "displayName"), "displayName"),
            request_count=self._ledger.files[file_name[6:]].line_count
            if file_name
            else len(requests),
            input_file=file_name,
            requests=requests,
            hook=hook_of(pick(holder, "webhookConfig")),
            priority=None if priority is None else str(priority),
        )
        await self._quotas.count(batch)
        self._quotas.require_room(batch)
        self._ledger.batches[batch.id] = batch
        self._jobs.start(batch, with_faults(plan_job(batch.display_name), self._faults))
        self._faults.raise_status("lost_creates")
        return json_answer(self._shown(batch, None))

    def _input_of(self, config: Json, kind: Kind) -> tuple[str | None, list[Json]]:
        """The name of the input file, or the inlined requests: exactly one of them."""
        file_name, inlined = pick(config, "fileName"), pick(config, "requests")
        if (file_name is None) == (inlined is None):
            raise ApiError(400, "The input_config must hold either file_name or requests.")
        if file_name is None:
            return None, _inlined_requests(inlined, kind)
        if not isinstance(file_name, str) or not file_name.startswith("files/"):
            raise ApiError(400, f"{file_name} is not the name of a file: files/… is needed.")
        stored = self._ledger.files.get(file_name.removeprefix("files/"))
        if stored is None or stored.expires_ns <= now_ns():
            raise ApiError(404, f"The input file {file_name} was not found: upload it first.")
        if stored.line_count == 0:
            raise ApiError(400, f"The input file {file_name} holds no request.")
        return file_name, []

    def _listed(self, batch: Batch) -> Json:
        inline = batch.output is not None and "responsesFile" not in batch.output
        hidden = inline or batch.gets_without_output > 0
        return self._shown(batch, None if hidden else batch.output)

    def _shown(self, batch: Batch, output: Json | None) -> Json:
        faults = self._faults
        return operation_of(
            batch, output=output, output_in=faults.output_in, state_prefix=faults.state_prefix
        )

    def _find(self, request: Request) -> Batch:
        batch = self._ledger.batches.get(request.path_params["batch"])
        if batch is None:
            raise ApiError(
                self._faults.unknown_batch,
                f"The batch {request.path_params['batch']} was not found.",
            )
        return batch


def hook_of(config: Any) -> DynamicHook | None:
    """The `webhook_config` of a create body, in either casing. Raises ApiError 400 if invalid."""
    if config is None:
        return None
    uris = pick(config, "uris")
    if not isinstance(uris, list) or not uris or not all(isinstance(uri, str) for uri in uris):
        raise ApiError(400, "webhook_config.uris must name at least one URI.")
    return DynamicHook(uris, pick(config, "userMetadata"))


def _inlined_requests(inlined: Any, kind: Kind) -> list[Json]:
    entries = pick(inlined, "requests")
    if not isinstance(entries, list) or not entries:
        raise ApiError(
            400,
            "Invalid value at 'batch.input_config.requests.requests':"
            " a list of requests is needed.",
        )
    for index, entry in enumerate(entries):
        if not pick(pick(entry, "request"), CONTENT_FIELD[kind]):
            place = f"batch.input_config.requests.requests[{index}].request.{CONTENT_FIELD[kind]}"
            raise ApiError(400, f"* BatchGenerateContentRequest.{place}: is not specified")
    return entries


def _text(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ApiError(400, f"Invalid value at 'batch.{name}': a string is needed.")
    return value
