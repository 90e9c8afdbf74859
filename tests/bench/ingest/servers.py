"""The peers of our web process, as programs: `python -m tests.bench.ingest.servers NAME PORT`."""

import asyncio
import json
import os
import sys
from typing import Any

import redis
import uvicorn
from rq import Queue
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.bench.ingest.load import PATH

SEEN_S = 7 * 86400


async def ok(request: Request) -> Response:
    """The ceiling: the body is read, nothing is done with it."""
    await request.body()
    return JSONResponse({"status": "ok"})


class Naive:
    """What a tutorial would write: verify, SET NX, enqueue."""

    def __init__(self) -> None:
        self._client = redis.Redis.from_url(os.environ["REDIS_URL"])
        self._queue = Queue(connection=self._client)
        self._webhook = Webhook(os.environ["GEMINI_WEBHOOK_SECRET"])

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        event: Any = self._webhook.verify(body, headers)
        if self._client.set(f"seen:{headers['webhook-id']}", 1, nx=True, ex=SEEN_S):
            self._queue.enqueue("os.getpid", event["data"]["id"])


def naive() -> Starlette:
    taker = Naive()

    async def take(request: Request) -> Response:
        await asyncio.to_thread(taker.take, await request.body(), dict(request.headers))
        return JSONResponse({"status": "ok"})

    return Starlette(routes=[Route(PATH, take, methods=["POST"])])


def fastapi_naive() -> Any:
    from fastapi import FastAPI  # noqa: PLC0415 - only there for the bench, and not everywhere
    from fastapi import Request as FastRequest  # noqa: PLC0415 - likewise

    taker, app = Naive(), FastAPI()

    async def take(request: Request) -> dict[str, str]:
        body = await request.body()
        json.loads(body)  # its users have the body parsed by the framework
        await asyncio.to_thread(taker.take, body, dict(request.headers))
        return {"status": "ok"}

    take.__annotations__["request"] = FastRequest
    app.post(PATH)(take)
    return app


def ceiling() -> Starlette:
    return Starlette(routes=[Route(PATH, ok, methods=["POST"])])


SERVERS = {"ceiling": ceiling, "naive": naive, "fastapi": fastapi_naive}


def main(name: str, port: str) -> None:
    uvicorn.run(
        SERVERS[name](), host="127.0.0.1", port=int(port), log_level="warning", access_log=False
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
