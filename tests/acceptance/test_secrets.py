"""Canary secrets in every setting, every process at DEBUG, everything going wrong: none of them is written anywhere."""

import base64
import json
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from deploy.sandbox.processes import allocate_port, stop
from deploy.sandbox.valkey import start_valkey
from receiver.errors import InboxUnavailableError
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from receiver.notices.outbox import Outbox
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import manifest_of, run
from tests.notice_receiver import receiving
from tests.running import CLIENT, answers, ready_batch, running_program, set_faults, submit_inline
from tests.waiting import eventually

PASSWORD = "canary/redis@password"
SECRET, OLD_SECRET, ACME_SECRET, NOTIFY_SECRET = (
    f"canary-webhook-secret-{number}-bytes".encode() for number in range(1, 5)
)
API_KEY, ACME_KEY = "canary-api-key-default", "canary-api-key-acme"
TOKEN, STATUS_TOKEN = "canary-metrics-token", "canary-status-token"
API_TOKEN = "canary-api-token"
PROOF = b"canary-proof-key-of-32-bytes-lng"
NOTIFY_KEY = b"canary-private-key-of-32-bytes-l"
HOOK, SLACK = "canary_notify_path", "canary_slack_path"
HOSTILE = 'evil\n{"event": "forged"}\r\x1b[2J\u2028\x85'


def whsec(secret: bytes) -> str:
    return "whsec_" + base64.b64encode(secret).decode()


def canaries() -> list[bytes]:
    """Every secret in every form that a careless line could have."""
    secrets = (SECRET, OLD_SECRET, ACME_SECRET, NOTIFY_SECRET, NOTIFY_KEY, PROOF)
    plain = [
        PASSWORD,
        API_KEY,
        ACME_KEY,
        TOKEN,
        STATUS_TOKEN,
        API_TOKEN,
        HOOK,
        SLACK,
        *(secret.decode() for secret in secrets),
    ]
    forms = [
        form
        for text in plain
        for form in (text, quote(text, safe=""), base64.b64encode(text.encode()).decode())
    ]
    return [form.encode() for form in [*forms, *(text.encode().hex() for text in plain)]]


def assert_clean(place: str, data: bytes) -> None:
    found = [canary for canary in canaries() if canary in data]
    assert not found, f"{place} holds {found}"


@dataclass(frozen=True)
class Vault:
    """A Valkey with a password, and settings full of canaries."""

    world: World
    port: int
    settings: dict[str, str]

    @property
    def client(self) -> "redis.Redis":
        return redis.Redis(port=self.port, password=PASSWORD)

    def written(self) -> Iterator[Path]:
        """Logs of our processes, outputs with their manifests, and all that was ever written into Redis."""
        folder = self.world.folder
        yield from (folder / "serve.log", folder / "worker.log")
        yield from (
            path for part in ("outputs", "appendonlydir") for path in (folder / part).rglob("*")
        )


@pytest.fixture
def vault(world: World) -> Iterator[Vault]:
    port = allocate_port()
    valkey = start_valkey(world.folder, port)
    with redis.Redis(port=port) as client:
        client.config_set("requirepass", PASSWORD)
    registered = world.settings["GEMINI_WEBHOOK_SECRET"]
    settings = world.settings | {
        "GEMINI_API_KEY": API_KEY,
        "GEMINI_WEBHOOK_SECRET": f"{registered} {whsec(SECRET)},{whsec(OLD_SECRET)}",
        "GEMINI_API_KEY__ACME": ACME_KEY,
        "METRICS_TOKEN": TOKEN,
        "STATUS_TOKEN": STATUS_TOKEN,
        "API_TOKEN": API_TOKEN,
        "GEMINI_WEBHOOK_SECRET__ACME": whsec(ACME_SECRET),
        "REDIS_URL": f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/0",
        "LOG_LEVEL": "DEBUG",
        "NOTIFY_SECRET": whsec(NOTIFY_SECRET),
        "NOTIFY_PRIVATE": "true",
        "PROOF_KEY": base64.b64encode(PROOF).decode(),
        "NOTIFY_RETRY_BASE_S": "0.001",
    }
    with receiving() as receiver:
        receiver.answer = lambda received: (
            404,
            {},
            received.path.strip("/").encode(),
        )  # repeats its own address
        origin = f"http://127.0.0.1:{receiver.port}"
        settings |= {
            "NOTIFY_URL": f"{origin}/{HOOK} {origin}/?{HOOK}",
            "SLACK_WEBHOOK_URL": f"{origin}/{SLACK}",
            "NOTIFY_URL__KEY": f"{origin}/{HOOK}/key",
            "NOTIFY_SECRET__KEY": f"whsk_{base64.b64encode(NOTIFY_KEY).decode()}",
            "NOTIFY_URL__MAIL": "rq://mail/shop.tell",
            "NOTIFY_REDIS_URL__MAIL": settings["REDIS_URL"],
        }
        yield Vault(world, port, settings)
    stop(valkey)


def go_wrong(vault: Vault) -> None:
    """Refusals, a suspended key, a crashed job, a script that fails; then Redis answers no more."""
    world, url = vault.world, f"{vault.world.web_url}/webhooks/gemini"
    for headers in ({}, {"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,x"}):
        CLIENT.post(url, json={}, headers=headers)
    for token in (TOKEN, f"{TOKEN}x"):
        CLIENT.get(f"{world.web_url}/metrics", headers={"authorization": f"Bearer {token}"})
    look_at_the_status_page(world.web_url)
    call_the_api(world.web_url)
    suspended = {"code": 7, "message": f"Consumer 'api_key:{API_KEY}' has been suspended"}
    manifest_of(
        world, ready_batch(world.gemini_url, state="FAILED", request_count=1, error=suspended)
    )
    set_faults(world.gemini_url, get_status={"status": 500, "times": 2})
    manifest_of(world, submit_inline(world.gemini_url, {"one": "Hello"}))
    with vault.client as client:
        client.hset(
            "gbr:entry:batches/crash",
            mapping={"state": "open", "attempts": 0, "waits": 0, "metadata": "{no"},
        )
        client.zadd("gbr:due", {"batches/crash": 1})
        JobQueue(client).enqueue(["batches/crash"])
        log = world.folder / "worker.log"
        eventually(lambda: "DecodeError" in log.read_text(), 20, "the crash of a job")
        client.delete("gbr:due")
        client.set("gbr:due", "no set")
        ready_batch(world.gemini_url, state="EXPIRED")
        eventually(
            lambda: "WRONGTYPE" in (world.folder / "serve.log").read_text(), 20, "a failing script"
        )
        client.delete("gbr:due")


def look_at_the_status_page(web_url: str) -> None:
    """Right and wrong logins, and what the page says; none of it repeats the token."""
    for token in (STATUS_TOKEN, f"{STATUS_TOKEN}x"):
        form = {"token": token, "back": token}
        answer = CLIENT.post(f"{web_url}/status/login", data=form, headers={"origin": web_url})
        assert_clean("the login", answer.content + str(answer.headers).encode())
        for path in ("", "/batches/nosuch"):
            bearer = {"authorization": f"Bearer {token}"}
            assert_clean("the page", CLIENT.get(f"{web_url}/status{path}", headers=bearer).content)


def call_the_api(web_url: str) -> None:
    """With right and wrong tokens, and with a body that is refused."""
    for token in (API_TOKEN, f"{API_TOKEN}x"):
        bearer = {"authorization": f"Bearer {token}"}
        for path in ("batches", "batches/nosuch", "nosuch"):
            answer = CLIENT.get(f"{web_url}/api/{path}", headers=bearer)
            assert_clean("the API", answer.content + str(answer.headers).encode())
        submissions = f"{web_url}/api/submissions?model=gemini-3.5-flash"
        answer = CLIENT.post(submissions, headers=bearer, content=b"{}", timeout=30)
        assert_clean("the API", answer.content)


COMMANDS = (
    ["doctor"],
    ["inbox", "list"],
    ["inbox", "deliveries", "--json"],
    ["inbox", "show", "batches/crash"],
    ["replay", "--json"],
    ["reconcile"],
    ["replay", "--batch", "nosuchbatch"],
    ["status"],
    ["proof-key"],
    ["batches", "list"],
    ["batches", "watch", "nosuchbatch", "crash", "--timeout", "0"],
    ["batches", "cancel", "nosuchbatch"],
    ["batches", "delete", "nosuchbatch", "--yes"],
    ["batches", "results", "nosuchbatch", "k"],
    ["notices", "list"],
    ["notices", "list", "--json"],
    ["notices", "keys"],
    ["notices", "test"],
    ["notices", "send"],
)


def test_no_canary_is_written_anywhere(vault: Vault) -> None:
    """Logs at DEBUG, commands, outputs, manifests, and every write that Redis took."""
    world, settings = vault.world, vault.settings
    with ExitStack() as stack:
        stack.enter_context(running_program(world.folder, settings, "serve"))
        stack.enter_context(running_program(world.folder, settings, "worker"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        manifest_of(
            world, submit_inline(world.gemini_url, {"one": "Hello", HOSTILE: "Hello"}, HOSTILE)
        )
        go_wrong(vault)
        for command in COMMANDS:
            result = run(settings, *command)
            assert_clean(" ".join(command), (result.stdout + result.stderr).encode())
        with vault.client as client:
            assert {one.cause for one in Outbox(client).listing() if one.tries} == {
                "127.0.0.1 answered 404"
            }
            client.config_set(
                "requirepass", "another"
            )  # from now on every new connection is refused
        for command in COMMANDS[:2]:
            result = run(settings, *command)
            assert result.returncode == 1
            assert_clean(" ".join(command), (result.stdout + result.stderr).encode())
    received = {
        line["event"]
        for name in ("serve.log", "worker.log")
        for line in lines_of(world.folder / name)
    }
    assert received >= {
        "rq.logged",
        "uvicorn.logged",
    }  # libraries too said all that they have to say
    for path in vault.written():
        if path.is_file():
            assert_clean(path.name, path.read_bytes())


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_hostile_names_forge_no_line(world: World) -> None:
    """Keys and display names with newlines and control characters stay inside their lines."""
    settings = world.settings | {"LOG_LEVEL": "DEBUG"}
    with ExitStack() as stack:
        stack.enter_context(running_program(world.folder, settings, "serve"))
        stack.enter_context(running_program(world.folder, settings, "worker"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        error = {"code": 3, "message": HOSTILE}
        names = [
            submit_inline(
                world.gemini_url, {HOSTILE: "Hello", f"{HOSTILE}2": "[sandbox:error 8]"}, HOSTILE
            ),
            ready_batch(
                world.gemini_url, state="FAILED", display_name=HOSTILE, request_count=1, error=error
            ),
        ]
        for name in names:
            manifest_of(world, name)
    for log in ("serve.log", "worker.log"):
        text = (world.folder / log).read_bytes()
        assert text.isascii()
        assert not any(byte < 32 and byte != 10 for byte in text)
        assert "forged" not in {line["event"] for line in lines_of(world.folder / log)}
    for command in (
        ["batches", "show", names[0]],
        ["batches", "show", names[1]],
        ["verify", *names],
    ):
        shown = run(settings, *command).stdout
        assert not any(ord(char) < 32 and char != "\n" for char in shown)
        assert not any(line.startswith('{"event"') for line in shown.splitlines())


def test_no_trace_holds_the_password() -> None:
    url = f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{allocate_port()}/0"
    with connect(url) as client, pytest.raises(InboxUnavailableError) as told:
        Inbox(client).has_due()
    assert_clean("the trace", "".join(traceback.format_exception(told.value)).encode())
    assert_clean("the client", repr(client).encode())
