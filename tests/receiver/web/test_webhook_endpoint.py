"""The endpoints of two projects in a real process, with a key set of ours and a port that
must not be called."""

import base64
import json
import secrets
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from deploy.sandbox.processes import allocate_port
from receiver.inbox.delivery_contents import HIDDEN, fetch_content
from receiver.inbox.delivery_log import name_delivery
from receiver.inbox.redis import DELIVERY_CONTENTS, ENTRY, connect
from receiver.settings.projects import WEBHOOK_PATH
from receiver.verification.keys import Secret
from tests.receiver import forging
from tests.receiver.key_server import CallLog, serving_calls
from tests.receiver.verification.test_jwts import ATTACKER_JWK, ATTACKS
from tests.running import CLIENT, answers, running_program
from tests.waiting import eventually

DEFAULT_SECRETS = [Secret(bytes(range(first, first + 32))) for first in (1, 2, 3)]
ACME_SECRET = forging.SECRET
ACME = f"{WEBHOOK_PATH}/acme"
AUDIENCES = {WEBHOOK_PATH: "aud-default", ACME: "aud-acme"}
REFUSED = {"error": "the delivery is not proven to come from Gemini"}


@dataclass(frozen=True)
class Endpoints:
    url: str
    log: Path
    redis_url: str
    keys: CallLog
    trap: CallLog  # every URL of a forged delivery leads here
    started_s: float

    def post(
        self, path: str, headers: Mapping[str, str], body: bytes | Iterable[bytes]
    ) -> httpx.Response:
        return CLIENT.post(
            self.url + path, headers={"content-type": "application/json", **headers}, content=body
        )

    def logged(self, name: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == name]

    def refusal(self, delivery_id: str) -> dict[str, Any]:
        """The log line of a refused delivery."""

        def find() -> dict[str, Any]:
            lines = [json.loads(line) for line in self.log.read_text().splitlines()]
            return next((one for one in lines if one.get("webhook_id") == delivery_id), {})

        return eventually(find)


def whsec(secret: Secret) -> str:
    return "whsec_" + base64.b64encode(secret.key).decode()


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory, valkey_url: str) -> Iterator[Endpoints]:
    folder, port = tmp_path_factory.mktemp("endpoints"), allocate_port()
    with (
        serving_calls(forging.jwks(forging.rsa_jwk(), forging.ed25519_jwk())) as keys,
        serving_calls() as trap,
    ):
        settings = {
            "GEMINI_API_KEY": "key-default",
            "GEMINI_WEBHOOK_SECRET": " ".join(map(whsec, DEFAULT_SECRETS)),
            "GEMINI_WEBHOOK_AUDIENCE": AUDIENCES[WEBHOOK_PATH],
            "GEMINI_API_KEY__ACME": "key-acme",
            "GEMINI_WEBHOOK_SECRET__ACME": whsec(ACME_SECRET),
            "GEMINI_WEBHOOK_AUDIENCE__ACME": AUDIENCES[ACME],
            "GEMINI_BASE_URL": trap.url,
            "GEMINI_JWKS_URL": f"{keys.url}/keys",
            "REDIS_URL": valkey_url,
            "STORAGE_URL": (folder / "outputs").as_uri(),
            "PORT": str(port),
            "RECONCILE_INTERVAL_S": "0",
        }
        started_s = time.monotonic()
        with running_program(folder, settings, "serve"):
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: answers(f"{url}/ready"), 20)
            yield Endpoints(url, folder / "serve.log", valkey_url, keys, trap, started_s)


def new_id() -> str:
    return f"msg_{secrets.token_hex(8)}"


def event(batch: str = "batches/abc", **data: str) -> bytes:
    return json.dumps({"type": "batch.succeeded", "data": {"id": batch, **data}}).encode()


def static(
    secret: Secret,
    body: bytes,
    delivery_id: str = "",
    *,
    timestamp: int | str | None = None,
    before: str = "",
) -> dict[str, str]:
    """Headers of a static delivery; other entries may stand before its own."""
    moment, name = int(time.time()) if timestamp is None else timestamp, delivery_id or new_id()
    entry = forging.static_entry(secret.key, forging.signed_bytes(body, moment, name))
    return forging.headers(before + entry, moment, name)


def token(header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """A token of now that is valid at the default project's endpoint."""
    now = int(time.time())
    return forging.token(
        header, **({"aud": AUDIENCES[WEBHOOK_PATH], "iat": now, "exp": now + 300} | claims)
    )


def dynamic(signature: str) -> dict[str, str]:
    return forging.headers(signature, int(time.time()), new_id())


@pytest.mark.parametrize("path", [WEBHOOK_PATH, ACME])
def test_no_secret_is_valid_at_another_endpoint(endpoints: Endpoints, path: str) -> None:
    body = event()
    for secret in (*DEFAULT_SECRETS, ACME_SECRET):
        opens = (secret is ACME_SECRET) is (path == ACME)
        answer = endpoints.post(path, static(secret, body), body)
        assert answer.is_success is opens
        assert opens or (answer.status_code, answer.json()) == (401, REFUSED)


@pytest.mark.parametrize("path", AUDIENCES)
@pytest.mark.parametrize("audience", AUDIENCES.values())
def test_no_audience_is_valid_at_another_endpoint(
    endpoints: Endpoints, path: str, audience: str
) -> None:
    answer = endpoints.post(path, dynamic(token(aud=audience)), event())
    assert answer.is_success is (AUDIENCES[path] == audience)
    assert answer.status_code in (200, 202, 401)


def test_dropped_metadata_is_said(endpoints: Endpoints) -> None:
    """The batch is kept, and whoever routes by its metadata can see why it lands elsewhere."""
    body = json.dumps(
        {"type": "batch.succeeded", "data": {"id": "batches/m"}, "user_metadata": {"a": "x" * 9000}}
    ).encode()
    assert endpoints.post(WEBHOOK_PATH, static(DEFAULT_SECRETS[0], body), body).is_success
    (warning,) = eventually(lambda: endpoints.logged("delivery.metadata_dropped"))
    assert (warning["batch"], warning["level"]) == ("batches/m", "warning")


@pytest.mark.parametrize(
    "name", ["globex", "ACME", "acme/", "default", "acme/x", "..", "%61cme%00", "acme%2f"]
)
def test_unknown_project_is_a_plain_404(endpoints: Endpoints, name: str) -> None:
    body, path = event(), f"{WEBHOOK_PATH}/{name}"
    answer, plain = (
        endpoints.post(path, static(ACME_SECRET, body), body),
        endpoints.post("/nowhere", {}, body),
    )
    assert (answer.status_code, answer.content) == (404, plain.content)
    assert answer.headers.keys() == plain.headers.keys()
    assert httpx.get(endpoints.url + path).status_code == 404


def test_endpoints_remember_deliveries_apart(endpoints: Endpoints) -> None:
    """A webhook-id that one endpoint has seen must not swallow another project's event."""
    body, delivery_id, batch = event("batches/apart"), new_id(), "batches/apart"
    assert endpoints.post(ACME, static(ACME_SECRET, body, delivery_id), body).status_code == 202
    assert (
        endpoints.post(
            WEBHOOK_PATH, static(DEFAULT_SECRETS[0], body, delivery_id), body
        ).status_code
        == 202
    )
    assert endpoints.post(ACME, static(ACME_SECRET, body, delivery_id), body).status_code == 200
    with redis.Redis.from_url(endpoints.redis_url) as client:
        assert all(
            client.hget(ENTRY + name, "state") == b"open" for name in (batch, f"acme/{batch}")
        )


def test_rotation_with_many_secrets_drops_nothing(endpoints: Endpoints) -> None:
    body, other = event(), "v1," + base64.b64encode(bytes(32)).decode()
    for secret in DEFAULT_SECRETS:
        assert endpoints.post(WEBHOOK_PATH, static(secret, body), body).is_success
        assert endpoints.post(
            WEBHOOK_PATH, static(secret, body, before=f"{other} "), body
        ).is_success


def causes() -> dict[str, tuple[dict[str, str], str]]:
    """Headers of refused deliveries of `event()` to the default endpoint, and the logged cause."""
    body, now, secret = event(), int(time.time()), DEFAULT_SECRETS[0]
    return {
        "no signature": (
            static(secret, body) | {"webhook-signature": ""},
            "missing webhook-signature",
        ),
        "no timestamp": (
            static(secret, body) | {"webhook-timestamp": ""},
            "missing webhook-timestamp",
        ),
        "foreign secret": (static(ACME_SECRET, body), "no signature matches"),
        "other body": (static(secret, body + b" "), "no signature matches"),
        "too old": (
            static(secret, body, timestamp=now - 400),
            "s in the past: check the clock of this machine",
        ),
        "too new": (
            static(secret, body, timestamp=now + 400),
            "s in the future: check the clock of this machine",
        ),
        "odd timestamp": (
            static(secret, body, timestamp=f"0{now}"),
            "not a plain number of seconds",
        ),
        "unknown version": (
            static(secret, body) | {"webhook-signature": "v9,abc"},
            "no version that is known",
        ),
        "many entries": (static(secret, body, before="v1,x " * 16), "more than 16 entries"),
        "mixed": (static(secret, body, before=f"{token()} "), "mixes a token"),
        "v1a": (dynamic("v1a," + base64.b64encode(bytes(64)).decode()), "any Ed25519 key"),
        "none": (dynamic(token({"alg": "none"})), "alg is not RS256"),
        "kid": (dynamic(token({"kid": "other"})), "no RSA key with the token's kid"),
        "aud": (dynamic(token(aud="other")), "aud is not GEMINI_WEBHOOK_AUDIENCE"),
        "expired": (dynamic(token(exp=now - 100)), "check the clock of this machine"),
        "no kid": (dynamic(token({"kid": None})), "header"),
        "other type": (dynamic(token(type="batch.failed")), "type is not the body's"),
        "other batch": (dynamic(token(data={"id": "batches/x"})), "data.id is not the body's"),
    }


def answer_of(response: httpx.Response) -> tuple[int, bytes, tuple[tuple[str, str], ...]]:
    """All that a sender can tell two answers apart by."""
    headers = sorted((name, value) for name, value in response.headers.items() if name != "date")
    return response.status_code, response.content, tuple(headers)


def test_every_cause_gets_one_answer(endpoints: Endpoints) -> None:
    """The sender learns nothing; the log has the scheme, the webhook-id and the cause."""
    found = causes()
    answers_seen = {
        answer_of(endpoints.post(WEBHOOK_PATH, headers, event())) for headers, _ in found.values()
    }
    ((status, content, _),) = answers_seen
    assert (status, json.loads(content)) == (401, REFUSED)
    for name, (headers, reason) in found.items():
        line = endpoints.refusal(headers["webhook-id"])
        assert (line["event"], line["level"]) == ("delivery.refused", "warning")
        assert reason in line["cause"], name
    assert {
        endpoints.refusal(headers["webhook-id"])["scheme"] for headers, _ in found.values()
    } == {
        "v1",
        "v1a",
        "jwt",
        "",
    }


def test_verified_body_that_is_no_event_is_told_why(endpoints: Endpoints) -> None:
    headers = static(DEFAULT_SECRETS[0], b"[]")
    answer = endpoints.post(WEBHOOK_PATH, headers, b"[]")
    line = endpoints.refusal(headers["webhook-id"])
    assert (answer.status_code, answer.json()) == (400, {"error": line["cause"]})
    assert (line["event"], line["level"], line["scheme"]) == ("delivery.malformed", "warning", "v1")


def test_sender_that_hangs_up_is_logged(endpoints: Endpoints) -> None:
    delivery_id = new_id()
    head = (
        f"POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: 9\r\nwebhook-id: {delivery_id}\r\n\r\n{{"
    )
    with socket.create_connection(("127.0.0.1", urlsplit(endpoints.url).port or 0)) as connection:
        connection.sendall(head.encode())
    line = endpoints.refusal(delivery_id)
    assert (line["event"], line["level"]) == ("delivery.aborted", "info")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ("Content-Type: text/plain\r\nContent-Length: 9\r\n", 415),
        ("Content-Type: text/plain\r\nContent-Length: 99999999\r\n", 415),
        ("Content-Type: Application/JSON; charset=utf-8\r\nContent-Length: 99999999\r\n", 413),
    ],
)
def test_refusal_does_not_wait_for_the_body(endpoints: Endpoints, fields: str, status: int) -> None:
    address = urlsplit(endpoints.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        head = f"POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: x\r\n{fields}Expect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 %d " % status)


def test_body_in_pieces_is_limited(endpoints: Endpoints) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(17):
            yield b" " * 65536

    assert endpoints.post(WEBHOOK_PATH, {}, pieces()).status_code == 413
    body = event("batches/pieces")
    signed = static(DEFAULT_SECRETS[0], body)
    answered = endpoints.post(WEBHOOK_PATH, signed, iter([body[:10], body[10:20], body[20:]]))
    assert answered.status_code == 202


def test_refusals_name_their_project(endpoints: Endpoints) -> None:
    headers = static(DEFAULT_SECRETS[0], event())
    endpoints.post(ACME, headers, event())
    assert endpoints.refusal(headers["webhook-id"])["project"] == "acme"


def luring_tokens(trap: str) -> list[str]:
    """Tokens that point to the sender's server: unsigned, signed by the sender, or by the real key."""
    headers: list[dict[str, Any]] = [
        {"jku": f"{trap}/jku"},
        {"x5u": f"{trap}/x5u"},
        {"kid": f"{trap}/kid"},
        {"jwk": ATTACKER_JWK | {"kid": f"{trap}/jwk"}},
        {"jku": f"{trap}/jku", "kid": "other"},
        {"iss": trap, "alg": "none"},
    ]
    claims: list[dict[str, Any]] = [
        {"iss": f"{trap}/iss", "aud": f"{trap}/aud"},
        {"jku": trap, "aud": trap},
    ]
    by_sender = [
        forging.rs256(token(one).rpartition(".")[0], forging.rsa_key("attacker")) for one in headers
    ]
    return [*map(token, headers), *by_sender, *(token(**one) for one in claims)]


def test_attacks_reach_only_the_key_set(endpoints: Endpoints) -> None:
    """Each is a 401, and nobody is asked but the configured key set."""
    forged = [attack for attack, _ in ATTACKS.values()] + luring_tokens(endpoints.trap.url)
    assert len(forged) >= 70
    refused = {answer_of(endpoints.post(WEBHOOK_PATH, dynamic(one), event())) for one in forged}
    assert [status for status, _, _ in refused] == [401]
    assert endpoints.trap.calls == []
    assert set(endpoints.keys.calls) == {"/keys"}


def test_random_kids_cost_no_requests(endpoints: Endpoints) -> None:
    """The tests of the key set do it with 10,000 tokens and a clock of their own."""
    for number in range(300):
        assert (
            endpoints.post(
                WEBHOOK_PATH, dynamic(token({"kid": f"kid-{number}"})), event()
            ).status_code
            == 401
        )
    assert 1 <= len(endpoints.keys.calls) <= 1 + (time.monotonic() - endpoints.started_s) / 60


def test_urls_in_an_event_steer_nothing(endpoints: Endpoints) -> None:
    """Gemini is not even asked by the web process, and what the payload names never."""
    lures = {
        name: f"{endpoints.trap.url}/{name}" for name in ("output_file_uri", "callback", "jku")
    }
    body = event("batches/lure", **lures)
    assert endpoints.post(WEBHOOK_PATH, static(DEFAULT_SECRETS[0], body), body).status_code == 202
    assert endpoints.trap.calls == []
    with redis.Redis.from_url(endpoints.redis_url) as client:
        stored = client.hgetall(f"{ENTRY}batches/lure")
    assert not any(endpoints.trap.url.encode() in value for value in stored.values())


HOSTILE = [b'x\t{"event": "forged"}', b"x\x85\xe2\x80\xa8{}", b"x\x1b[2J", b"x" * 3000]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_header_forges_a_log_line(endpoints: Endpoints, text: bytes) -> None:
    """One delivery, at most one line, whatever it carries."""
    before = len(endpoints.log.read_text().splitlines())
    port = urlsplit(endpoints.url).port
    with closing(HTTPConnection("127.0.0.1", port or 0)) as connection:
        hostile: dict[str, str | bytes] = {"content-type": "application/json", "webhook-id": text}
        connection.request("POST", WEBHOOK_PATH, event(), hostile | {"webhook-signature": text})
        assert connection.getresponse().status in (
            400,
            401,
        )  # the HTTP parser refuses control characters itself
    headers = static(ACME_SECRET, event())
    endpoints.post(WEBHOOK_PATH, headers, event())
    endpoints.refusal(headers["webhook-id"])
    fresh = endpoints.log.read_text().splitlines()[before:]
    assert 1 <= len(fresh) <= 2
    assert all(line.isascii() and "event" in json.loads(line) for line in fresh)
    assert "forged" not in {json.loads(line)["event"] for line in fresh}


def test_only_what_is_proven_is_kept_to_be_opened(endpoints: Endpoints) -> None:
    body, right, wrong = event("batches/opened", note="key-acme"), new_id(), new_id()
    endpoints.post(ACME, static(Secret(b"x" * 32), body, wrong), body)
    endpoints.post(ACME, static(ACME_SECRET, b"[1]", wrong), b"[1]")  # no event
    assert endpoints.post(ACME, static(ACME_SECRET, body, right), body).status_code == 202
    with connect(endpoints.redis_url) as client:
        name = name_delivery("acme", "v1", right)
        found = eventually(lambda: fetch_content(client, name, 0), 10, "what it brought")
        kept = b"".join(client.lrange(DELIVERY_CONTENTS, 0, -1))
    assert found is not None
    assert found.body == body.decode().replace("key-acme", HIDDEN)
    assert found.headers["webhook-signature"] == f"v1 {HIDDEN}"
    assert wrong.encode() not in kept
