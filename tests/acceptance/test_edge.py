"""The edge with every process real: repeated deliveries, rotated secrets, payloads that point elsewhere."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import redis

from receiver.inbox.delivery_log import fetch_deliveries
from receiver.verification.keys import Secret
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import manifest_of, running_service
from tests.receiver import forging
from tests.receiver.key_server import serving_calls
from tests.running import (
    CLIENT,
    HEADERS,
    answers,
    ready_batch,
    running_program,
    set_faults,
    submit_inline,
)
from tests.waiting import eventually

POSTS = 500


def post_all(url: str, headers: dict[str, str], body: bytes) -> list[int]:
    """The statuses of POSTS posts of one delivery, all under way at once."""

    async def send() -> list[int]:
        limits = httpx.Limits(max_connections=POSTS)
        async with httpx.AsyncClient(limits=limits, timeout=30, trust_env=False) as client:
            answers = await asyncio.gather(
                *(client.post(url, headers=headers, content=body) for _ in range(POSTS))
            )
        return [answer.status_code for answer in answers]

    return asyncio.run(send())


def test_concurrent_posts_of_one_id_are_processed_once(world: World) -> None:
    """Every sender gets a 2xx, one of them opened the entry, and one job stored the batch."""
    settings = world.settings
    secret = Secret.parse(settings["GEMINI_WEBHOOK_SECRET"]).key
    set_faults(world.gemini_url, drop_deliveries="all")
    with running_service(world, settings), redis.Redis.from_url(world.redis_url) as client:
        name = submit_inline(world.gemini_url, {"one": "Hello"})
        body = json.dumps({"type": "batch.succeeded", "data": {"id": name}}).encode()
        now = int(time.time())
        headers = forging.headers(
            forging.static_entry(secret, forging.signed_bytes(body, now, "msg_1")), now, "msg_1"
        )
        statuses = post_all(
            f"{world.web_url}/webhooks/gemini", headers | {"content-type": "application/json"}, body
        )
        assert Counter(statuses) == {202: 1, 200: POSTS - 1}
        manifest_of(world, name)
        eventually(lambda: client.zcard("gbr:done") == 1)
        eventually(lambda: client.llen("rq:queue:gemini-batches") == 0)
        assert Counter(one.verdict for one in fetch_deliveries(client, POSTS)) == {
            "accepted": 1,
            "known": POSTS - 1,
        }
    log = [json.loads(line) for line in (world.folder / "worker.log").read_text().splitlines()]
    assert Counter(line["event"] for line in log if line["event"].startswith("batch.")) == {
        "batch.stored": 1
    }


def rotate(world: World, behavior: str) -> str:
    """Rotate the secret of the one registered webhook. Gives the new one."""
    (hook,) = (
        CLIENT.get(f"{world.gemini_url}/v1/webhooks", headers=HEADERS)
        .raise_for_status()
        .json()["webhooks"]
    )
    body = {"revocation_behavior": behavior}
    url = f"{world.gemini_url}/v1/webhooks/{hook['id']}:rotateSigningSecret"
    secret: str = CLIENT.post(url, json=body, headers=HEADERS).raise_for_status().json()["secret"]
    return secret


@contextmanager
def web_with(world: World, settings: dict[str, str], *held: str) -> Iterator[None]:
    """The web process with these secrets."""
    with running_program(
        world.folder, settings | {"GEMINI_WEBHOOK_SECRET": " ".join(held)}, "serve"
    ):
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        yield


def test_rotation_drops_no_event(world: World) -> None:
    """Signed by the old secret, by both, by the new one before we know it; we restart in between."""
    settings = world.settings
    old = settings["GEMINI_WEBHOOK_SECRET"]

    def deliver() -> str:
        return ready_batch(world.gemini_url, state="EXPIRED")

    with redis.Redis.from_url(world.redis_url) as client:

        def require(*names: str) -> None:
            eventually(
                lambda: client.exists(*(f"gbr:entry:{name}" for name in names)) == len(names),
                20,
                "deliveries",
            )

        with web_with(world, settings, old):
            require(deliver())
            new = rotate(world, "revoke_previous_secrets_after_h24")
            require(deliver())
        while_away = deliver()
        with web_with(world, settings, old, new):
            require(deliver(), while_away)
            newest = rotate(world, "revoke_previous_secrets_immediately")
            early = deliver()
            eventually(lambda: client.exists("gbr:refusals"), 20, "the refusal")
        with web_with(world, settings, new, newest):
            require(deliver(), early)


def test_payload_steers_no_request(world: World) -> None:
    """What an event points to is asked by nobody; Gemini's own word decides."""
    settings = world.settings
    secret = Secret.parse(settings["GEMINI_WEBHOOK_SECRET"]).key
    set_faults(world.gemini_url, drop_deliveries="all")
    with running_service(world, settings), serving_calls() as trap:
        name = submit_inline(world.gemini_url, {"one": "Hello"})
        lures = {
            field: f"{trap.url}/{field}"
            for field in ("output_file_uri", "file_name", "url", "next")
        }
        event = {"type": "batch.succeeded", "data": {"id": name, **lures}, "user_metadata": lures}
        body = json.dumps(event).encode()
        now = int(time.time())
        signed = forging.headers(
            forging.static_entry(secret, forging.signed_bytes(body, now, "msg_1")), now, "msg_1"
        )
        answer = CLIENT.post(
            f"{world.web_url}/webhooks/gemini",
            content=body,
            headers=signed | {"content-type": "application/json"},
        )
        assert answer.status_code == 202
        assert manifest_of(world, name)["outcomes"]["ok"] == 1
        assert trap.calls == []
