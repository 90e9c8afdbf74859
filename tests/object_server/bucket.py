"""What S3 does with a request: objects, conditional creation, multipart uploads, lists in pages."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qs, quote, unquote
from xml.sax.saxutils import escape, unescape

from tests.object_server.faults import Kind

PAGE = 1000
QUOTES = {"&quot;": '"', "&apos;": "'"}
MISSING = (404, "NoSuchKey")


class Request(NamedTuple):
    method: str
    path: str  # as sent
    query: Mapping[str, list[str]]
    headers: Mapping[bytes, bytes]  # names in lower case
    body: bytes

    @classmethod
    def parse(
        cls, method: str, target: str, headers: Mapping[bytes, bytes], body: bytes
    ) -> "Request":
        path, _, query = target.partition("?")
        return cls(
            method, path, parse_qs(query, keep_blank_values=True) if query else {}, headers, body
        )

    @property
    def name(self) -> str:
        """Of the object: the path without its bucket."""
        return unquote(self.path[1:].partition("/")[2])

    @property
    def kind(self) -> Kind:
        query = self.query
        if self.path.startswith("/latest/"):
            return "credentials"
        if self.method == "PUT":
            return (
                "part"
                if "uploadId" in query
                else "create"
                if b"if-none-match" in self.headers
                else "put"
            )
        if self.method == "POST":
            return "start" if "uploads" in query else "delete" if "delete" in query else "complete"
        if self.method == "DELETE":
            return "abort" if "uploadId" in query else "delete"
        if self.method == "HEAD":
            return "head"
        return "list" if "list-type" in query else "get"


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: str = ""  # whole lines
    size: int = -1  # that a HEAD claims


class Stored(NamedTuple):
    size: int
    sha256: str
    data: bytes | None  # None where bodies are not kept

    @property
    def etag(self) -> str:
        return f'ETag: "{self.sha256[:32]}"\r\n'


@dataclass
class Upload:
    name: str
    parts: dict[int, Stored] = field(default_factory=dict)


def failure(status: int, code: str, headers: str = "") -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as the test wished</Message></Error>"
    return Answer(status, body.encode(), headers)


class Bucket:
    """All buckets are one."""

    def __init__(self, *, keep: bool) -> None:
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, Upload] = {}
        self.keep = keep
        self._started = 0

    def answer(self, request: Request) -> Answer:
        answer: Answer = getattr(self, f"_{request.kind}")(request)
        return answer

    def _stored(self, body: bytes, *, keep: bool = False) -> Stored:
        return Stored(
            len(body), hashlib.sha256(body).hexdigest(), body if keep or self.keep else None
        )

    def _put(self, request: Request) -> Answer:
        stored = self.objects[request.name] = self._stored(request.body)
        return Answer(200, headers=stored.etag)

    def _create(self, request: Request) -> Answer:
        """What is created once is little, and is kept anyway."""
        if request.name in self.objects:
            return failure(412, "PreconditionFailed")
        stored = self.objects[request.name] = self._stored(request.body, keep=True)
        return Answer(200, headers=stored.etag)

    def _get(self, request: Request) -> Answer:
        stored = self.objects.get(request.name)
        if stored is None or stored.data is None:
            return failure(*MISSING)
        headers = stored.etag + "Last-Modified: Tue, 24 Nov 2026 12:00:00 GMT\r\n"
        span = re.fullmatch(rb"bytes=(\d+)-(\d+)", request.headers.get(b"range", b""))
        if span is None:
            return Answer(200, stored.data, headers)
        first, last = int(span[1]), min(int(span[2]), stored.size - 1)
        return Answer(
            206,
            stored.data[first : last + 1],
            f"{headers}Content-Range: bytes {first}-{last}/{stored.size}\r\n",
        )

    def _head(self, request: Request) -> Answer:
        stored = self.objects.get(request.name)
        if stored is None:
            return Answer(404)
        return Answer(
            200, b"", f"{stored.etag}Last-Modified: Tue, 24 Nov 2026 12:00:00 GMT\r\n", stored.size
        )

    def _delete(self, request: Request) -> Answer:
        if request.method == "DELETE":
            self.objects.pop(request.name, None)
            return Answer(204)
        names = re.findall(r"<Key>(.*?)</Key>", request.body.decode())
        for name in names:
            self.objects.pop(unescape(name, QUOTES), None)
        rows = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
        return Answer(200, f"<DeleteResult>{rows}</DeleteResult>".encode())

    def _list(self, request: Request) -> Answer:
        prefix = request.query.get("prefix", [""])[0]
        after = request.query.get("continuation-token", [""])[0]
        names = sorted(name for name in self.objects if name.startswith(prefix) and name > after)
        more = len(names) > PAGE
        rows = "".join(self._list_row(name) for name in names[:PAGE])
        token = (
            f"<NextContinuationToken>{escape(names[PAGE - 1])}</NextContinuationToken>"
            if more
            else ""
        )
        truncated = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        return Answer(
            200, f"<ListBucketResult>{truncated}{token}{rows}</ListBucketResult>".encode()
        )

    def _list_row(self, name: str) -> str:
        size, key, when = self.objects[name].size, escape(name), "2026-11-24T12:00:00.000Z"
        return f"<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>{when}</LastModified></Contents>"

    def _start(self, request: Request) -> Answer:
        self._started += 1
        number = f"upload-{self._started}"
        self.uploads[number] = Upload(request.name)
        body = f"<InitiateMultipartUploadResult><UploadId>{number}</UploadId></InitiateMultipartUploadResult>"
        return Answer(200, body.encode())

    def _upload(self, request: Request) -> Upload | None:
        return self.uploads.get(request.query["uploadId"][0])

    def _part(self, request: Request) -> Answer:
        upload = self._upload(request)
        if upload is None:
            return failure(404, "NoSuchUpload")
        stored = upload.parts[int(request.query["partNumber"][0])] = self._stored(request.body)
        return Answer(200, headers=stored.etag)

    def _complete(self, request: Request) -> Answer:
        upload = self._upload(request)
        if upload is None:
            return failure(404, "NoSuchUpload")
        parts = [upload.parts[number] for number in sorted(upload.parts)]
        named = len(re.findall(rb"<PartNumber>", request.body))
        if named != len(parts):
            return failure(400, "InvalidPart")
        if self.keep:
            stored = self._stored(b"".join(part.data or b"" for part in parts))
        else:
            digests = "".join(part.sha256 for part in parts)
            stored = Stored(
                sum(part.size for part in parts), hashlib.sha256(digests.encode()).hexdigest(), None
            )
        self.objects[upload.name] = stored
        del self.uploads[request.query["uploadId"][0]]
        etag, key = stored.sha256[:32], escape(quote(upload.name))
        body = f"<CompleteMultipartUploadResult><Key>{key}</Key><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
        return Answer(200, body.encode())

    def _abort(self, request: Request) -> Answer:
        self.uploads.pop(request.query["uploadId"][0], None)
        return Answer(204)

    def _credentials(self, _: Request) -> Answer:
        """No machine's role is here."""
        return Answer(404)
