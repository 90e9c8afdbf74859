import asyncio
import logging
import time

import pytest

from receiver.errors import KeySetUnavailableError, UnknownKeyError
from receiver.verification.jwks import COOLDOWN_S, KeySetCache
from receiver.verification.keys import KeySet
from receiver.verification.signatures import verify
from tests.receiver.forging import (
    AUDIENCE,
    BODY,
    ED25519_ENTRY,
    KID,
    NOW,
    base64url,
    headers,
    token,
    unsigned,
)
from tests.receiver.key_endpoint import BROKEN, HUGE, NEW, OLD, TIMEOUT_S, KeyEndpoint, Scene, play

DAY_S = 24 * 3600
HOUR_S = 3600


def is_verified(signature: str, keys: KeySet) -> bool:
    return (
        verify(headers(signature), BODY, now=NOW, secrets=[], keys=keys, audience=AUDIENCE)
        is not None
    )


def test_first_use_fetches_once() -> None:
    async def act(scene: Scene) -> None:
        assert is_verified(token(), await scene.cache.get())
        assert await scene.known_kids() == [KID]
        assert len(scene.endpoint.asked) == 1

    play(act)


@pytest.mark.parametrize(
    ("header", "age_s"),
    [
        ("", HOUR_S),
        ("cache-control: max-age=600\r\n", 600),
        ("Cache-Control: public, MAX-AGE=600, must-revalidate\r\n", 600),
        ('cache-control: max-age="600"\r\n', 600),
        ("cache-control: max-age=0\r\n", 60),
        ("cache-control: max-age=59\r\n", 60),
        ("cache-control: max-age=9999999999\r\n", DAY_S),
        ("cache-control: max-age=-5\r\n", HOUR_S),
        ("cache-control: max-age=soon\r\n", HOUR_S),
        ("cache-control: s-maxage=600, x-max-age=600\r\n", HOUR_S),
    ],
)
def test_max_age_is_honoured_within_bounds(header: str, age_s: int) -> None:
    async def act(scene: Scene) -> None:
        scene.endpoint.answer(OLD, extra=header)
        await scene.cache.get()
        scene.endpoint.answer(NEW)
        scene.clock.now_s += age_s - 1
        assert await scene.known_kids() == [KID]
        scene.clock.now_s += 1
        assert await scene.known_kids() == ["key-2"]
        assert len(scene.endpoint.asked) == 2

    play(act)


def test_stale_keys_serve_for_a_day() -> None:
    async def act(scene: Scene) -> None:
        await scene.cache.get()
        scene.server.close()
        scene.clock.now_s += HOUR_S + DAY_S
        assert is_verified(token(), await scene.cache.get())
        scene.clock.now_s += 1
        with pytest.raises(KeySetUnavailableError):
            await scene.cache.get()

    play(act)


def test_unreachable_endpoint_is_retryable() -> None:
    async def act(scene: Scene) -> None:
        scene.server.close()
        for ask in (scene.cache.get, scene.cache.refresh):
            with pytest.raises(KeySetUnavailableError, match="GEMINI_JWKS_URL") as failure:
                await ask()
            assert failure.value.retryable

    play(act)


def test_failed_fetch_cools_down_too() -> None:
    async def act(scene: Scene) -> None:
        scene.endpoint.answer(b"", status="503 Service Unavailable")
        for _ in range(100):
            with pytest.raises(KeySetUnavailableError):
                await scene.cache.get()
        assert len(scene.endpoint.asked) == 1
        scene.endpoint.answer(OLD)
        scene.clock.now_s += COOLDOWN_S
        assert await scene.known_kids() == [KID]

    play(act)


def test_refresh_finds_rotated_keys() -> None:
    async def act(scene: Scene) -> None:
        with pytest.raises(UnknownKeyError):
            is_verified(ED25519_ENTRY, await scene.cache.get())
        scene.endpoint.answer(NEW)
        scene.clock.now_s += COOLDOWN_S
        assert is_verified(ED25519_ENTRY, await scene.cache.refresh())
        assert is_verified(token({"kid": "key-2"}), await scene.cache.get())

    play(act)


def test_random_kids_fetch_once_a_minute() -> None:
    async def act(scene: Scene) -> None:
        for number in range(10_000):
            forged = (
                f"{unsigned({'alg': 'RS256', 'kid': f'kid-{number}'}, {})}.{base64url(bytes(256))}"
            )
            with pytest.raises(UnknownKeyError):
                is_verified(forged, await scene.cache.get())
            await scene.cache.refresh()
            scene.clock.now_s += 0.05
        minutes = 10_000 * 0.05 / 60
        assert minutes - 1 < len(scene.endpoint.asked) <= minutes + 1

    play(act)


@pytest.mark.parametrize("method", ["get", "refresh"])
def test_thousand_misses_share_one_fetch(method: str) -> None:
    async def act(scene: Scene) -> None:
        scene.endpoint.released.clear()
        waiting = [asyncio.create_task(getattr(scene.cache, method)()) for _ in range(1000)]
        await scene.endpoint.arrived.wait()
        scene.endpoint.released.set()
        assert {len(keys.rsa) for keys in await asyncio.gather(*waiting)} == {1}
        assert len(scene.endpoint.asked) == 1

    play(act)


def test_cancelled_starter_spares_the_others() -> None:
    async def act(scene: Scene) -> None:
        scene.endpoint.released.clear()
        starter, other = (
            asyncio.create_task(scene.cache.get()),
            asyncio.create_task(scene.cache.get()),
        )
        await scene.endpoint.arrived.wait()
        starter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starter
        scene.endpoint.released.set()
        assert list((await other).rsa) == [KID]
        assert len(scene.endpoint.asked) == 1

    play(act)


def test_fetch_outlives_all_who_wait() -> None:
    async def act(scene: Scene) -> None:
        scene.endpoint.released.clear()
        starter = asyncio.create_task(scene.cache.get())
        await scene.endpoint.arrived.wait()
        starter.cancel()
        await asyncio.wait([starter])
        scene.endpoint.released.set()
        assert await scene.known_kids() == [KID]
        assert len(scene.endpoint.asked) == 1

    play(act)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_answer_keeps_good_keys(name: str) -> None:
    async def act(scene: Scene) -> None:
        await scene.cache.get()
        scene.endpoint.answer(**BROKEN[name])
        scene.clock.now_s += COOLDOWN_S
        assert await scene.refreshed_kids() == [KID]
        assert len(scene.endpoint.asked) == 2
        scene.endpoint.answer(NEW)
        scene.clock.now_s += COOLDOWN_S
        assert await scene.refreshed_kids() == ["key-2"]

    play(act)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_first_answer_leaves_none(name: str) -> None:
    async def act(scene: Scene) -> None:
        scene.endpoint.answer(**BROKEN[name])
        with pytest.raises(KeySetUnavailableError):
            await scene.cache.get()

    play(act)


@pytest.mark.parametrize("is_dripping", [False, True], ids=["silent", "dripping"])
def test_slow_endpoint_is_cut(is_dripping: bool) -> None:  # noqa: FBT001 - a parameter of the table
    async def act(scene: Scene) -> None:
        scene.endpoint.answer(b"{", length=100_000)
        scene.endpoint.is_dripping = is_dripping
        if not is_dripping:
            scene.endpoint.released.clear()
        started = time.monotonic()
        with pytest.raises(KeySetUnavailableError):
            await scene.cache.get()
        assert TIMEOUT_S <= time.monotonic() - started < TIMEOUT_S + 2

    play(act)


def test_endless_answer_is_cut_early() -> None:
    async def act(scene: Scene) -> None:
        scene.endpoint.answer(HUGE, length=10**12)
        scene.endpoint.is_dripping = True
        started = time.monotonic()
        with pytest.raises(KeySetUnavailableError):
            await scene.cache.get()
        assert time.monotonic() - started < TIMEOUT_S

    play(act)


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
def test_redirect_is_not_followed(status: str) -> None:
    async def act(scene: Scene) -> None:
        other = KeyEndpoint()
        async with await asyncio.start_server(other.serve, "127.0.0.1", other.port):
            scene.endpoint.answer(b"", status=status, extra=f"location: {other.url}\r\n")
            with pytest.raises(KeySetUnavailableError):
                await scene.cache.get()
        assert (len(scene.endpoint.asked), other.asked) == (1, [])

    play(act)


def test_client_secrets_stay_home() -> None:
    async def act(scene: Scene) -> None:
        scene.client.cookies.set("session", "canary")
        await scene.cache.get()
        asked = scene.endpoint.asked[0]
        assert asked.startswith("get /.well-known/jwks.json http/1.1")
        assert not any(
            word in asked for word in ("canary", "x-goog-api-key", "authorization", "cookie")
        )

    play(act)


def test_closed_client_is_unavailable() -> None:
    async def act(scene: Scene) -> None:
        await scene.client.aclose()
        with pytest.raises(KeySetUnavailableError):
            await scene.cache.get()

    play(act)


def test_one_outage_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    async def act(scene: Scene) -> None:
        for status in (
            "200 OK",
            "503 Service Unavailable",
            "503 Service Unavailable",
            "200 OK",
            "200 OK",
        ):
            scene.endpoint.answer(OLD, status=status)
            await scene.cache.refresh()
            scene.clock.now_s += COOLDOWN_S

    with caplog.at_level(logging.INFO, "receiver.verification.jwks"):
        play(act)
    failed, fetched = [
        record for record in caplog.records if record.name == "receiver.verification.jwks"
    ]
    assert (failed.levelname, failed.getMessage(), fetched.getMessage()) == (
        "WARNING",
        "keyset.failed",
        "keyset.fetched",
    )
    said = {"cause": "ValueError: the answer has status 503", "kept": True}
    assert said.items() <= vars(failed).items()


def test_default_clock_moves_on() -> None:
    async def act(scene: Scene) -> None:
        cache = KeySetCache(scene.endpoint.url, client=scene.client)
        assert list((await cache.get()).rsa) == [KID]

    play(act)
