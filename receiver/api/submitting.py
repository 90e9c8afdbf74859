"""`POST /api/submissions`: what `batches submit` does, with requests that come in the body."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from receiver.api.parameters import read_parameters
from receiver.api.problems import ProblemError, in_words_of_the_api, problem_of
from receiver.api.responses import respond
from receiver.api.submit_query import SubmitQuery, read_request
from receiver.api.uploads import AT_ONCE, IncomingBodies, IncomingBody
from receiver.errors import ReceiverError
from receiver.settings.settings import Settings
from receiver.status.threads import NoThreadError, Threads
from receiver.submissions.intake import take_in, try_out
from receiver.submissions.json_views import Receipt, TrialRun
from receiver.submissions.planning import SubmitRequest

DEADLINE_S = 840.0  # below the time that an answer to an upload may take
TOO_SLOW = (
    f"it took longer than {DEADLINE_S / 60:.0f} minutes, and may still go on: send the same again,"
    " which sends nothing twice"
)
BUSY = "the web process has no thread left for it: send it again in a moment"
MEDIA_TYPES = ("application/jsonl", "application/x-ndjson", "application/jsonlines")
BODY = "the body"
log = logging.getLogger(__name__)


class Accepted(Receipt, frozen=True, kw_only=True):
    """What became of the requests, and what is worth knowing."""

    notes: list[str]


class Trial(TrialRun, frozen=True, kw_only=True):
    """What would be sent, and what is worth knowing."""

    notes: list[str]


class _Notes:
    """Gathers what is said while requests are taken in."""

    def __init__(self) -> None:
        self.lines = list[str]()

    def say(self, line: str) -> None:
        self.lines.append(line.strip())

    @contextmanager
    def progress(self, label: str, size_bytes: int) -> Iterator[Callable[[int], None]]:  # noqa: ARG002
        yield lambda _: None


class Submitting:
    """Takes requests in. One for a process: it limits how many bodies there are at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._uploads = settings, IncomingBodies(settings.scratch_dir)
        self._uploads.clear_old()
        self._threads = Threads(AT_ONCE, DEADLINE_S)

    async def post(self, request: Request) -> Response:
        """Raises ProblemError, ReceiverError and OSError."""
        query = read_parameters(SubmitQuery, request.query_params.multi_items())
        wanted = read_request(self._settings, query)
        _require_jsonl(request)
        upload = self._uploads.open()
        try:
            await upload.read(request)
        except BaseException:
            upload.close()
            raise
        try:
            return await self._threads.run(partial(self._take_in, upload, wanted, query))
        except NoThreadError as error:  # else the thread closes it
            upload.close()
            raise ProblemError(503, BUSY) from error
        except TimeoutError as error:
            raise ProblemError(503, TOO_SLOW) from error

    def _take_in(self, upload: IncomingBody, wanted: SubmitRequest, query: SubmitQuery) -> Response:
        """In a thread of its own, which goes on where the sender gives up."""
        notes = _Notes()
        try:
            if query.dry_run:
                return self._try_out(upload, wanted, query, notes)
            return self._submit(upload, wanted, query, notes)
        except Exception as error:
            raise _translate(error, upload) from error
        finally:
            upload.close()

    def _try_out(
        self, upload: IncomingBody, wanted: SubmitRequest, query: SubmitQuery, notes: _Notes
    ) -> Response:
        trial = try_out(self._settings, upload.path, wanted, query.change, notes)
        return respond(Trial(**msgspec.structs.asdict(trial), notes=notes.lines))

    def _submit(
        self, upload: IncomingBody, wanted: SubmitRequest, query: SubmitQuery, notes: _Notes
    ) -> Response:
        taken = take_in(self._settings, upload.path, wanted, query.change, notes)
        receipt = taken.receipt(self._settings)
        known = {"submission": receipt.submission, "requests": receipt.requests}
        log.info("api.submitted", extra=known | {"known": receipt.known})
        if taken.obstacle is not None:
            raise ProblemError(503, taken.obstacle)
        if taken.absent is not None:
            notes.say(taken.absent)
        answer = Accepted(**msgspec.structs.asdict(receipt), notes=notes.lines)
        location = {"location": f"/api/submissions/{receipt.id}"}
        return respond(answer, 200 if receipt.known else 201, **location)


def _translate(error: Exception, upload: IncomingBody) -> Exception:
    """The error in words of the API: its parameters, and no path of this machine."""
    if not isinstance(error, ReceiverError):
        return error
    problem = problem_of(error)
    detail = problem.problem.detail.replace(str(upload.path), BODY)
    detail = in_words_of_the_api(detail, SubmitQuery.__struct_fields__)
    return ProblemError(problem.problem.status, detail, problem.problem.errors)


def _require_jsonl(request: Request) -> None:
    """Raises ProblemError. A body that says nothing of itself is taken for JSONL."""
    given = request.headers.get("content-type", MEDIA_TYPES[0]).partition(";")[0].strip().lower()
    if given not in MEDIA_TYPES:
        raise ProblemError(415, f"expected {MEDIA_TYPES[0]}: one request per line")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise ProblemError(415, "expected a body without a content coding")
