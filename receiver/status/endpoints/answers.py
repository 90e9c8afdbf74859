"""One result of a batch beside its request, its pictures, and downloads: with STATUS_ANSWERS."""

from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import get_args

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from receiver.errors import StorageError
from receiver.outputs.wording import count_of
from receiver.status.answer_details import (
    AnswerDetails,
    RequestDetails,
    Side,
    Wanted,
    read_answer_details,
    read_media,
    read_next,
    read_request_details,
    read_result,
)
from receiver.status.answer_links import result_path
from receiver.status.auth import Visitor
from receiver.status.backend import Backend
from receiver.status.batch_details import FILTERS
from receiver.status.content_pieces import PICTURES
from receiver.status.downloads import MAX_BYTES, Download, find_download, is_reachable
from receiver.status.endpoints.batches import PATHS
from receiver.status.endpoints.common import Site, read_batch_name, read_count
from receiver.status.pages import FOREIGN, SECURITY
from receiver.status.view_models import page_path
from receiver.storage import Storage

PIECE_BYTES = 4 * 1024 * 1024
BINARY = "application/octet-stream"
OFF = (
    "Requests and answers are not shown here: `STATUS_ANSWERS=true` turns that on, and `batches"
    " results` prints an answer."
)


class AnswerEndpoints:
    """Below the page of a batch."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Iterable[Route]:
        is_on = self._site.settings.status_answers
        for path in PATHS:
            yield self._site.page(
                f"{path}/results/{{key:path}}", self._show_answer if is_on else self._refuse
            )
            if is_on:
                yield self._site.page(f"{path}/next", self._go_on)
                yield self._site.page(f"{path}/lines/{{line:int}}", self._send_line)
                yield self._site.page(
                    f"{path}/media/{{line:int}}/{{side}}/{{number:int}}", self._send_media
                )
                yield self._site.page(f"{path}/downloads/{{what}}", self._send_object)

    async def _refuse(self, request: Request, visitor: Visitor) -> Response:
        return self._site.guard.show_message(request, visitor, 404, "Not shown", OFF)

    async def _show_answer(self, request: Request, visitor: Visitor) -> Response:
        name, backend = read_batch_name(request), self._site.backend(request)
        if name is None:
            return self._say_absent(request, visitor, "No batch can have this name.")
        wanted, filter_ = _read_wanted(request), _read_filter(request)
        details, problem = await backend.read(
            lambda storage: read_answer_details(storage, name, wanted, FILTERS[filter_])
        )
        if details is None:
            return self._report(request, visitor, problem)
        if details.manifest is None:
            return self._say_absent(request, visitor, f"{name} is not stored.")
        if details.row is None and details.key is None:
            return self._say_absent(request, visitor, f"{name} has no result in this line.")

        asked, request_problem = await _find_request(backend, name, details)
        return self._site.pages.render(
            request,
            "answer.html",
            404 if details.row is None else 200,
            here="batches",
            visitor=visitor,
            name=name,
            path=page_path(name),
            details=details,
            asked=asked,
            request_problem=request_problem,
            filter=filter_,
            storage_location=backend.storage_location,
        )

    async def _go_on(self, request: Request, visitor: Visitor) -> Response:
        """The next result of the wanted outcomes after a line."""
        name, filter_ = read_batch_name(request), _read_filter(request)
        if name is None:
            return self._say_absent(request, visitor, "No batch can have this name.")
        after = read_count(request, "after")
        row, problem = await self._site.backend(request).read(
            lambda storage: read_next(storage, name, after, FILTERS[filter_])
        )
        if problem:
            return self._report(request, visitor, problem)
        if row is None:
            return self._say_absent(request, visitor, "The batch has no such results.")
        path = result_path(page_path(name) or "", row.key, row.line, filter_)
        return _redirect(path)

    async def _send_line(self, request: Request, visitor: Visitor) -> Response:
        """The line as it lies in the storage."""
        name, line = read_batch_name(request), int(request.path_params["line"])
        if name is None:
            return self._say_absent(request, visitor, "No batch can have this name.")
        found, problem = await self._site.backend(request).read(
            lambda storage: read_result(storage, name, line)
        )
        if problem:
            return self._report(request, visitor, problem)
        if found is None:
            return self._say_absent(request, visitor, f"{name} has no result in line {line}.")
        return _send(found, BINARY, f"line-{line}.json")

    async def _send_media(self, request: Request, visitor: Visitor) -> Response:
        name, params = read_batch_name(request), request.path_params
        side, line, number = params["side"], int(params["line"]), int(params["number"])
        found, problem = (
            await self._site.backend(request).read(
                lambda storage: read_media(storage, name, line, side, number)
            )
            if name is not None and side in get_args(Side)
            else (None, "")
        )
        if problem:
            return self._report(request, visitor, problem)
        if found is None or not found[1]:
            return self._say_absent(request, visitor, "There is no such file in this line.")
        media, data = found
        ending = PICTURES.get(media.picture_type, "bin")
        return _send(data, media.picture_type or BINARY, f"line-{line}-{side}-{number}.{ending}")

    async def _send_object(self, request: Request, visitor: Visitor) -> Response:
        name, what = read_batch_name(request), request.path_params["what"]
        backend = self._site.backend(request)
        found, problem = (
            await backend.read(lambda storage: find_download(storage, name, what))
            if name is not None
            else (None, "")
        )
        if problem:
            return self._report(request, visitor, problem)
        if found is None:
            return self._say_absent(request, visitor, "The batch has no such file.")
        if found.link and is_reachable(found.link, request.url.hostname or ""):
            return _redirect(found.link)
        if found.size_bytes > MAX_BYTES:
            size = count_of(found.size_bytes, "byte", "bytes")
            words = f"It has {size}, and at most {MAX_BYTES:,} are sent from here: it is "
            return self._site.guard.show_message(
                request,
                visitor,
                413,
                "Too large to be sent from here",
                f"{words}{backend.storage_location}/{found.object}",
            )
        headers = _headers(BINARY, found.file_name) | {"content-length": str(found.size_bytes)}
        return StreamingResponse(_read_pieces(backend, found), headers=headers)

    def _say_absent(self, request: Request, visitor: Visitor, text: str) -> Response:
        return self._site.guard.show_message(request, visitor, 404, "Not found", text)

    def _report(self, request: Request, visitor: Visitor, problem: str) -> Response:
        title = "This can't be shown"
        return self._site.guard.report_storage_away(request, visitor, title, problem)


async def _find_request(
    backend: Backend, name: str, details: AnswerDetails
) -> tuple[RequestDetails | None, str]:
    manifest, key = details.manifest, details.key
    if manifest is None or key is None:
        return None, "without a key, nobody knows which request it answers"
    return await backend.read(lambda storage: read_request_details(storage, name, manifest, key))


async def _read_pieces(backend: Backend, download: Download) -> AsyncIterator[bytes]:
    for offset in range(0, download.size_bytes, PIECE_BYTES):
        length = min(PIECE_BYTES, download.size_bytes - offset)
        read = partial(_read_range, download.object, offset, length)
        piece, problem = await backend.read(read)
        if piece is None or len(piece) != length:  # the client sees that its end is missing
            raise StorageError(problem or f"{download.object} has changed meanwhile")
        yield piece


def _read_range(name: str, offset: int, length: int, storage: Storage) -> bytes | None:
    return storage.read_range(name, offset, length)


def _redirect(address: str) -> Response:
    return RedirectResponse(address, 303, headers=SECURITY | {"cache-control": "no-store"})


def _send(data: bytes, content_type: str, file_name: str) -> Response:
    return Response(data, headers=_headers(content_type, file_name))


def _headers(content_type: str, file_name: str) -> dict[str, str]:
    """Of what others wrote: a browser shows pictures, saves anything else and runs nothing."""
    place = "attachment" if content_type == BINARY else "inline"
    return {
        **FOREIGN,
        "content-type": content_type,
        "content-disposition": f'{place}; filename="{file_name}"',
        "cache-control": "no-store",
    }


def _read_wanted(request: Request) -> Wanted:
    query, key = request.query_params, request.path_params["key"]
    line = read_count(request, "line") or None
    asked = query.get("key", key)
    return Wanted(None if line and not asked and "key" not in query else asked, line)


def _read_filter(request: Request) -> str:
    wanted = request.query_params.get("outcome", "")
    return wanted if wanted in FILTERS else ""
