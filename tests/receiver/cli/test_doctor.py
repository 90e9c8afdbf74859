"""What `doctor` says of Gemini, the clock and the versions."""

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest
import redis
from click.testing import CliRunner, Result

from deploy.sandbox.valkey import running_valkey
from receiver.batch_names import SubmissionName
from receiver.cli import main
from receiver.gemini.batches import Gemini
from receiver.gemini.webhook_reports import ServedProject, WebhookFault, WebProcess
from receiver.inbox.redis import WEB_PROCESSES, connect
from receiver.submissions.ledger_entry import accept_submission
from tests.receiver.forging import SECRET_TEXT
from tests.running import ready_batch, register_webhook, running_sandbox


@pytest.fixture
def settings(sandbox_url: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    urls = {
        "GEMINI_BASE_URL": sandbox_url,
        "REDIS_URL": redis_url,
        "STORAGE_URL": tmp_path.as_uri(),
    }
    return {"GEMINI_API_KEY": "right-key", **urls}


def doctor(settings: Mapping[str, str], *args: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *args], env=settings)


def test_all_is_well(settings: dict[str, str], tmp_path: Path) -> None:
    """With a stand-in of its own: others may have batches of an old model at the shared one."""
    origin = "https://batches.example"
    with running_sandbox(tmp_path, "--api-key", "right-key") as url:
        known = {
            "GEMINI_BASE_URL": url,
            "GEMINI_WEBHOOK_SECRET": register_webhook(url, f"{origin}/webhooks/gemini"),
            "PUBLIC_URL": origin,
        }
        result = doctor(settings | known)
    checks = [line.partition(":")[0] for line in result.stdout.splitlines()]
    assert checks == [
        "ok    settings",
        "ok    redis",
        "WARN  next step",
        "WARN  next step",
        "WARN  processes",
        "ok    storage",
        "ok    gemini key",
        "ok    clock",
        "ok    webhook secret",
        "ok    webhook",
        "ok    notices",
        "ok    output template",
        "ok    versions",
    ]
    assert (result.exit_code, result.stderr) == (
        0,
        "",
    )  # a deployment may be what starts the processes
    assert (
        "WARN  next step: no worker is running: start `gemini-batch-receiver worker`\n"
        in result.stdout
    )


def test_due_submission_without_a_worker_is_a_warning(settings: dict[str, str]) -> None:
    with connect(settings["REDIS_URL"]) as client:
        accept_submission(client, SubmissionName("", "1" * 20))
    due = "WARN  next step: 1 submission is due and no worker is running: start"
    assert due in doctor(settings).stdout


def test_place_of_answers_and_redis_are_named(settings: dict[str, str], tmp_path: Path) -> None:
    url = settings["REDIS_URL"]
    said = doctor(settings | {"REDIS_URL": f"{url}?client_name=hunter2"}).stdout
    assert f"ok    redis: {url} answers and takes writes" in said
    assert "hunter2" not in said
    assert f"ok    storage: answers go to {tmp_path}, which writes" in said


def test_full_redis_is_wrong(settings: dict[str, str], tmp_path: Path) -> None:
    with running_valkey(tmp_path, "--maxmemory", "1mb") as url:
        result = doctor(settings | {"REDIS_URL": url})
    assert (
        result.exit_code,
        "WRONG redis: Redis is full and takes no writes" in result.stdout,
    ) == (1, True)
    unknown = "WARN  processes: not known: they can't report to Redis while it takes no writes\n"
    assert (unknown in result.stdout, "next step" in result.stdout) == (True, False)


@pytest.mark.parametrize(("is_registered", "fault"), [(False, "missing"), (True, "disabled")])
def test_its_own_look_outweighs_what_a_web_process_saw_before(
    settings: dict[str, str], client: "redis.Redis", fault: str, *, is_registered: bool
) -> None:
    """Such as right after `webhooks create` or `webhooks doctor --fix`."""
    origin = f"https://{uuid.uuid4()}.example"
    register_webhook(settings["GEMINI_BASE_URL"], f"{origin}/webhooks/gemini")
    old = WebhookFault(fault, None, "what was wrong", "mend it")
    served = ServedProject(project="", secrets=1, is_registered=is_registered, faults=[old])
    process = WebProcess(
        host="h", pid=1, url=origin, seen_ms=client.time()[0] * 1000, projects=[served]
    )
    client.hset(WEB_PROCESSES, "one", msgspec.json.encode(process))
    assert "mend it" not in doctor(settings | {"PUBLIC_URL": origin}).stdout
    assert (
        "mend it" in doctor(settings).stdout
    )  # by which address the web process judges is not known here


def test_process_without_the_secret_does_not_judge_it(settings: dict[str, str]) -> None:
    origin = f"https://{uuid.uuid4()}.example"
    register_webhook(settings["GEMINI_BASE_URL"], f"{origin}/webhooks/gemini")
    said = doctor(settings | {"PUBLIC_URL": origin}).stdout
    assert "WARN  webhook secret: none in this environment at /webhooks/gemini\n" in said
    assert (
        "ok    webhook: default: as it should be, but for its secret, which is not known here\n"
        in said
    )
    assert "refused" not in said


def test_secret_is_not_missed_without_a_public_url(settings: dict[str, str]) -> None:
    """Such as where only reconcile runs find batches."""
    said = doctor(settings).stdout
    assert "ok    webhook secret: none in this environment at /webhooks/gemini\n" in said


def test_unknown_variable_is_a_warning(settings: dict[str, str]) -> None:
    said = doctor(settings | {"GEMINI_TIMEOUT": "5"}).stdout
    assert "WARN  settings: GEMINI_TIMEOUT: is no setting, so nothing reads it" in said


def test_webhook_that_brings_nothing_is_a_warning(settings: dict[str, str]) -> None:
    project = f"p{uuid.uuid4().hex}"
    keys = {f"GEMINI_API_KEY__{project.upper()}": "right-key"}
    origin = f"https://{uuid.uuid4()}.example"
    result = doctor(settings | keys | {"PUBLIC_URL": origin})
    (said,) = [line for line in result.stdout.splitlines() if f" webhook: {project}" in line]
    assert said.startswith(
        f"WARN  webhook: {project}: no webhook is registered for {origin}/webhooks/gemini/{project}"
    )
    assert said.endswith("`gemini-batch-receiver webhooks doctor` says what to do")
    assert result.exit_code == 0


def test_installation_without_webhooks_is_no_warning(settings: dict[str, str]) -> None:
    """No address and no secret are set."""
    project = f"p{uuid.uuid4().hex}"
    keys = {f"GEMINI_API_KEY__{project.upper()}": "right-key"}
    said = doctor(settings | keys).stdout
    none = f"webhook: none is registered for {project}: reconcile runs find its batches; `gemini"
    assert f"ok    {none}" in said
    secret = {f"GEMINI_WEBHOOK_SECRET__{project.upper()}": SECRET_TEXT}
    assert (
        f"WARN  webhook: {project}: no webhook is registered for any host's"
        f" /webhooks/gemini/{project}"
    ) in doctor(settings | keys | secret).stdout


def test_targets_of_notices_are_resolved(settings: dict[str, str]) -> None:
    told = {"SLACK_WEBHOOK_URL": "https://localhost/secret", "NOTIFY_PRIVATE": "true"}
    said = doctor(settings | told).stdout
    assert "ok    notices: slack at localhost (" in said
    refused = doctor(settings | told | {"NOTIFY_PRIVATE": "false"})
    assert "WARN  notices: nothing was sent to localhost (" in refused.stdout
    assert "set NOTIFY_PRIVATE=true" in refused.stdout
    assert (
        refused.exit_code,
        "secret" in refused.stdout.partition("notices")[2].partition("\n")[0],
    ) == (0, False)


def test_absent_workers_of_an_rq_target_are_warned_of(
    settings: dict[str, str], client: "redis.Redis"
) -> None:
    told = {"NOTIFY_URL__MAIL": "rq://mail/shop.tell"}
    warned = doctor(settings | told)
    line = "WARN  notices: rq://mail (mail): no worker listens to the queue"
    assert (line in warned.stdout, warned.exit_code) == (True, 0)
    client.sadd("rq:workers:mail", "rq:worker:one")  # as RQ does
    line = "ok    notices: rq://mail (mail): 1 worker listens to the queue"
    assert line in doctor(settings | told).stdout


def test_versions_are_named(settings: dict[str, str]) -> None:
    (said,) = [line for line in doctor(settings).stdout.splitlines() if "versions:" in line]
    ours = "gemini-batch-receiver"
    assert f"{ours} {version(ours)}, rq {version('rq')}" in said
    assert re.search(r"Valkey \d+\.\d+", said)


def test_wrong_key_is_named_by_its_variable(settings: dict[str, str]) -> None:
    result = doctor(settings | {"GEMINI_API_KEY__ACME": "hunter2"}, "--json")
    found = {
        one["detail"].partition(" ")[0]: one
        for one in json.loads(result.stdout)
        if one["check"] == "gemini key"
    }
    assert found["GEMINI_API_KEY"]["ok"]
    assert not found["GEMINI_API_KEY__ACME:"]["ok"]
    assert "API key not valid" in found["GEMINI_API_KEY__ACME:"]["detail"]
    assert (result.exit_code, "hunter2" in result.stdout + result.stderr) == (1, False)


def test_model_of_a_late_batch_that_is_shut_is_a_warning(
    settings: dict[str, str], tmp_path: Path
) -> None:
    with running_sandbox(tmp_path, "--api-key", "right-key") as url:
        for model in ("models/gemini-3-pro-image-preview", "models/gemini-3.5-flash"):
            ready_batch(url, request_count=1, model=model, notify=False)
        result = doctor(settings | {"GEMINI_BASE_URL": url})
    assert (
        "WARN  model: default: gemini-3-pro-image-preview is shut since 2026-06-25: Gemini will"
        in result.stdout
    )
    assert result.stdout.count(" model: ") == 1
    assert result.exit_code == 0


def test_absent_gemini_leaves_the_other_checks(settings: dict[str, str]) -> None:
    result = doctor(settings | {"GEMINI_BASE_URL": "http://127.0.0.1:9"})
    assert result.exit_code == 1
    assert "WRONG gemini key: GEMINI_API_KEY: no answer from Gemini" in result.stdout
    assert "WARN  clock: could not be compared with Gemini's\n" in result.stdout
    assert "ok    versions: " in result.stdout


@pytest.mark.parametrize("offset_s", [60, 0, -60])
def test_clocks_are_compared(sandbox_url: str, offset_s: float) -> None:
    with Gemini(sandbox_url, "right-key") as gemini:
        found = gemini.measure_clock_offset_s(lambda: time.time() + offset_s)
    assert found == pytest.approx(offset_s, abs=2)


@pytest.mark.parametrize(
    ("offset_s", "said"), [(60, "60 s ahead of Gemini's"), (-60, "60 s behind Gemini's")]
)
def test_skewed_clock_is_a_warning(settings: dict[str, str], offset_s: int, said: str) -> None:
    """In a process whose clock is off."""
    program = (
        f"import time; real = time.time; time.time = lambda: real() + {offset_s};"
        "from receiver.cli import main; main()"
    )
    argv = [sys.executable, "-c", program, "doctor"]
    done = subprocess.run(
        argv, env=os.environ | settings, capture_output=True, text=True, timeout=30, check=False
    )
    (line,) = [line for line in done.stdout.splitlines() if " clock: " in line]
    assert line.startswith("WARN  clock: ")
    assert re.sub(r"\b(59|61)\b", "60", line).endswith(
        f"{said}: set the clock of this machine by NTP; signatures are judged by it"
    )
    assert done.returncode == 0


@pytest.mark.parametrize("option", ["--yes", "--report x.json", "--wait 1", "--project default"])
def test_options_of_the_probe_need_it(settings: dict[str, str], option: str) -> None:
    result = doctor(settings, *option.split())
    assert (result.exit_code, "is for --probe: add it" in result.stderr) == (2, True)


def test_report_into_a_folder_that_is_not_there_is_refused_first(
    settings: dict[str, str], tmp_path: Path
) -> None:
    result = doctor(settings, "--probe", "--yes", "--report", str(tmp_path / "none" / "x.json"))
    assert (result.exit_code, "does not exist: choose another --report" in result.stderr) == (
        2,
        True,
    )


def test_wrong_key_ends_the_probe_before_it_costs(settings: dict[str, str], tmp_path: Path) -> None:
    """Google repeats the key in such messages."""
    report = tmp_path / "probe.json"
    wrong = settings | {"GEMINI_API_KEY": "wrong-key"}
    result = doctor(wrong, "--probe", "--yes", "--report", str(report))
    assert (result.exit_code, report.exists()) == (1, False)
    assert "Gemini does not list its models for this key (400 API key not valid.)" in result.stderr
