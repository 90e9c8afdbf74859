"""GET /metrics, only with METRICS_TOKEN: it shows how much comes in and what goes wrong."""

import asyncio
import hmac
from collections.abc import Sequence
from contextlib import suppress

import redis
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from receiver.errors import InboxUnavailableError
from receiver.settings.projects import Project
from receiver.telemetry.metrics.counters import Counters
from receiver.telemetry.metrics.exposition import expose
from receiver.telemetry.metrics.gauges import read_fields, read_without_redis

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TIMEOUT_S = 5.0  # less than the ten seconds that Prometheus waits


class MetricsReader:
    """Reads the metrics of all processes, one scrape at a time."""

    def __init__(
        self, client: "redis.Redis", counters: Counters, projects: Sequence[Project]
    ) -> None:
        self._client, self._counters, self._projects = client, counters, projects
        self._turn = asyncio.Lock()

    async def read(self) -> bytes:
        """All metrics in Prometheus' text format; while Redis is away, only that it is."""
        fields = read_without_redis()
        with suppress(InboxUnavailableError, TimeoutError):
            async with asyncio.timeout(TIMEOUT_S), self._turn:
                fields = await asyncio.to_thread(self._read)
        return expose(fields)

    def _read(self) -> dict[str, float]:
        self._counters.flush()  # so that the counts of this process are included
        return read_fields(self._client, self._projects)


class MetricsEndpoint:
    """The endpoint; 200 also while Redis is away."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    async def get(self, request: Request) -> Response:
        shown = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(shown, self._expected):
            answer = {"error": "expected `Authorization: Bearer` with METRICS_TOKEN"}
            return JSONResponse(answer, status_code=401, headers={"www-authenticate": "Bearer"})
        metrics: MetricsReader = request.app.state.parts.metrics
        return Response(await metrics.read(), media_type=CONTENT_TYPE)
