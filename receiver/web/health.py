"""GET /health: does the process serve? GET /ready: would it accept a delivery now?"""

import redis
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from receiver.errors import InboxUnavailableError
from receiver.inbox.redis import WRITE_PROBE
from receiver.inbox.redis_health import WRITE_REFUSALS, find_write_obstacle
from receiver.status.threads import Shared, Threads

TIMEOUT_S = 2.5
AWAY = "Redis does not answer"
# Without Redis' own words: anybody may ask.
OTHER = "Redis takes no writes: `gemini-batch-receiver doctor` says why"


class _Recent(Shared[str | None]):
    PAUSE = 0  # so that a load balancer soon sees that Redis is back


class Readiness:
    """Tries a write to Redis, at most once per second and in one thread, however many ask."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._threads, self._recent = Threads(1, TIMEOUT_S), _Recent(self._ask)

    async def find_obstacle(self) -> str | None:
        """Why no delivery would be accepted now; None where one would. Within seconds."""
        return await self._recent.get()

    async def _ask(self) -> str | None:
        try:
            obstacle = await self._threads.run(
                lambda: find_write_obstacle(self._client, WRITE_PROBE)
            )
        except (InboxUnavailableError, TimeoutError):
            return AWAY
        return obstacle if obstacle is None or obstacle in WRITE_REFUSALS.values() else OTHER


async def health(_request: Request) -> Response:
    """200 as long as the process serves."""
    return JSONResponse({"status": "ok"})


async def ready(request: Request) -> Response:
    """200 when a delivery would be accepted now, else 503 with the cause."""
    readiness: Readiness = request.app.state.parts.readiness
    cause = await readiness.find_obstacle()
    if cause is None:
        return JSONResponse({"status": "ready"})
    return JSONResponse({"status": "not ready", "cause": cause}, status_code=503)
