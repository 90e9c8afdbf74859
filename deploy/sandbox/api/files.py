"""Get, list and delete files, and download result files."""

from starlette.requests import Request
from starlette.responses import Response

from deploy.sandbox.api.downloads import download_answer
from deploy.sandbox.api.uploads import version_url
from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.google_api import ApiError, json_answer, now_ns, page_of
from deploy.sandbox.ledger import Ledger, StoredFile

ID_LIMIT = 40
PAGE_LIMIT = 100


class Files:
    def __init__(self, ledger: Ledger, faults: Faults) -> None:
        self._ledger = ledger
        self._faults = faults

    async def get(self, request: Request) -> Response:
        return json_answer(self._find(request, "GetFileRequest").resource(version_url(request)))

    async def list_page(self, request: Request) -> Response:
        query = request.query_params
        live = [stored for stored in self._ledger.files.values() if stored.expires_ns > now_ns()]
        page, token = page_of(live, query.get("pageSize"), query.get("pageToken"), limit=PAGE_LIMIT)
        url = version_url(request)
        body = {"files": [stored.resource(url) for stored in page], "nextPageToken": token}
        return json_answer({name: value for name, value in body.items() if value})

    async def delete(self, request: Request) -> Response:
        stored = self._find(request, "DeleteFileRequest")
        del self._ledger.files[stored.id]
        stored.path.unlink(missing_ok=True)
        return json_answer({})

    async def download(self, request: Request) -> Response:
        """The bytes of a generated file. An uploaded one cannot be read back."""
        self._faults.raise_status("download_status")
        file_id = request.path_params["file"]
        path = self._ledger.results.get(file_id)
        if path is None:
            if file_id in self._ledger.files:
                raise ApiError(
                    400, f"files/{file_id} was uploaded: only generated files can be downloaded."
                )
            raise self._no_such_file(file_id)
        return download_answer(request, path, self._faults)

    def _find(self, request: Request, message: str) -> StoredFile:
        file_id = request.path_params["file"]
        if len(file_id) > ID_LIMIT:
            # The real service refuses the names of its own result files here.
            raise ApiError(
                400,
                f"* {message}.name: File ID (name excluding 'files/') cannot be more than"
                f" {ID_LIMIT} characters.\n",
            )
        stored = self._ledger.files.get(file_id)
        if stored is None or stored.expires_ns <= now_ns():
            raise self._no_such_file(file_id)
        return stored

    def _no_such_file(self, file_id: str) -> ApiError:
        """The same answer for a file that is missing, expired or somebody else's."""
        return ApiError(
            self._faults.unknown_file,
            f"The file {file_id} does not exist, or this API key may not use it.",
        )
