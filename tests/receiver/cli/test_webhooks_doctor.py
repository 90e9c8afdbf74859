"""`webhooks doctor` also says what running web processes report of themselves in Redis."""

import msgspec
import pytest
import redis
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.gemini.webhook_reports import ServedProject, WebhookFault, WebProcess
from receiver.inbox.redis import WEB_PROCESSES
from tests.running import CLIENT, register_webhook

ORIGIN = "https://batches.example.com"
OTHER = WebhookFault("secret", "one", "it signs with another secret", "set the other one")


@pytest.fixture
def environ(sandbox_url: str, redis_url: str) -> dict[str, str]:
    CLIENT.delete(f"{sandbox_url}/sandbox/state").raise_for_status()
    secret = register_webhook(sandbox_url, f"{ORIGIN}/webhooks/gemini")
    return {
        "GEMINI_API_KEY": "right-key",
        "GEMINI_BASE_URL": sandbox_url,
        "GEMINI_WEBHOOK_SECRET": secret,
        "PUBLIC_URL": ORIGIN,
        "REDIS_URL": redis_url,
    }


def doctor(environ: dict[str, str], **more: str) -> Result:
    return CliRunner().invoke(main, ["webhooks", "doctor"], env=environ | more)


def report(client: "redis.Redis", served: ServedProject) -> None:
    seen_ms = client.time()[0] * 1000
    process = WebProcess(host="h", pid=7, url=ORIGIN, seen_ms=seen_ms, projects=[served])
    client.hset(WEB_PROCESSES, "one", msgspec.json.encode(process))


def test_process_that_was_not_restarted_is_said(
    environ: dict[str, str], client: "redis.Redis"
) -> None:
    report(client, ServedProject(project="", is_registered=True, faults=[]))
    result = doctor(environ)
    lacks = "the running web process on h (process 7) has no GEMINI_WEBHOOK_SECRET, and refuses all"
    assert (result.exit_code, lacks in result.stdout) == (1, True)
    assert "      restart it, so that it reads the secret\n" in result.stdout
    unset = doctor(environ, GEMINI_WEBHOOK_SECRET="").stdout
    assert "      set GEMINI_WEBHOOK_SECRET to the secret, and restart it, so that" in unset


def test_process_with_another_secret_is_said(
    environ: dict[str, str], client: "redis.Redis"
) -> None:
    report(client, ServedProject(project="", secrets=1, is_registered=True, faults=[OTHER]))
    said = doctor(environ).stdout
    assert "the running web process on h (process 7) reports: it signs with another" in said
    assert "restart it if GEMINI_WEBHOOK_SECRET has changed since it started" in said


def test_process_with_the_secret_is_no_finding(
    environ: dict[str, str], client: "redis.Redis"
) -> None:
    report(client, ServedProject(project="", secrets=1, is_registered=True, faults=[]))
    assert "running web process" not in doctor(environ).output
    client.delete(WEB_PROCESSES)
    report(client, ServedProject(project="acme", is_registered=True, faults=[]))
    assert "running web process" not in doctor(environ).output


def test_absent_redis_hides_nothing_of_gemini(environ: dict[str, str]) -> None:
    result = doctor(environ, REDIS_URL="redis://127.0.0.1:9/0")
    assert "running web process" not in result.output
    assert ORIGIN in result.stdout
