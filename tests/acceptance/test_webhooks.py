"""The webhook's whole life with every service real: registered into an .env file, rotated, broken, found, mended."""

import functools
import json
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import Result

from deploy.sandbox.processes import allocate_port
from receiver.inbox.redis import RECONCILE
from receiver.recovery.web_presence import read_web_processes
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import run
from tests.commands import invoke
from tests.running import CLIENT, HEADERS, answers, ready_batch, running_program, running_sandbox
from tests.waiting import eventually


@dataclass
class Owner:
    """Somebody who has an API key, an .env file and the commands."""

    world: World
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.world.folder / ".env"

    @property
    def url(self) -> str:
        return f"{self.world.web_url}/webhooks/gemini"

    @property
    def settings(self) -> dict[str, str]:
        """What is set now, the .env file read as a platform reads it."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return self.environ | {
            name: value for name, _, value in (line.partition("=") for line in lines)
        }

    def run(self, *args: str) -> "subprocess.CompletedProcess[str]":
        return run(self.settings, "webhooks", *args)

    def ask(self, *args: str) -> Result:
        """The same without a process of its own."""
        return invoke(self.settings, "webhooks", *args)

    def webhook(self) -> dict[str, Any]:
        """The only webhook, as the stand-in has it."""
        answer = CLIENT.get(
            f"{self.world.gemini_url}/v1beta/webhooks", headers=HEADERS
        ).raise_for_status()
        (found,) = answer.json()["webhooks"]
        return dict(found)

    def findings(self, *args: str) -> list[tuple[str, str]]:
        """The problem and the level of all that the doctor finds; its exit code must fit."""
        result = self.ask("doctor", "--json", *args)
        found = [(one["problem"], one["level"]) for one in json.loads(result.stdout)]
        assert result.exit_code == int(any(level == "wrong" for _, level in found)), result
        return found

    def serve(self, stack: ExitStack) -> None:
        """A web process with what is set now, until the stack ends."""
        stack.enter_context(running_program(self.world.folder, self.settings, "serve"))
        eventually(lambda: answers(f"{self.world.web_url}/ready"), 20)

    def patch(self, **changes: object) -> None:
        url = f"{self.world.gemini_url}/v1beta/webhooks/{self.webhook()['id']}"
        CLIENT.patch(url, json=changes, headers=HEADERS).raise_for_status()


@pytest.fixture
def owner(world: World) -> Owner:
    environ = {
        name: value for name, value in world.settings.items() if name != "GEMINI_WEBHOOK_SECRET"
    }
    CLIENT.delete(f"{world.gemini_url}/sandbox/state").raise_for_status()  # the world's own webhook
    return Owner(world, environ | {"PUBLIC_URL": world.web_url})


def accepted(owner: Owner) -> int:
    deliveries = CLIENT.get(f"{owner.world.gemini_url}/sandbox/ledger").json()["deliveries"]
    return sum(one["accepted"] for one in deliveries)


def registered(owner: Owner) -> dict[str, Any]:
    """The webhook, newly created, its secret in the file and nowhere else."""
    result = owner.ask("create", "--env-file", str(owner.file))
    assert (result.exit_code, "whsec_" in result.stdout + result.stderr) == (0, False)
    return owner.webhook()


def test_created_webhook_delivers(owner: Owner) -> None:
    webhook = registered(owner)
    with ExitStack() as stack:
        owner.serve(stack)
        assert owner.findings() == [("none", "ok")]
        assert owner.run("ping", webhook["id"]).returncode == 0
        eventually(lambda: accepted(owner) == 1, what="the ping's arrival")
        listed = ("inbox", "deliveries")
        eventually(
            lambda: "  ignored  " in run(owner.settings, *listed).stdout, 20, "the ping's line"
        )


def test_probe_of_the_doctor_is_no_refused_delivery(owner: Owner) -> None:
    """And nothing that a forger could write makes his own look like one: all of these are refused and seen."""
    registered(owner)
    disguises = [
        {"user-agent": "gemini-batch-receiver"},
        {"content-type": "application/json; charset=x", "x-probe": "1"},
    ]
    with ExitStack() as stack:
        owner.serve(stack)
        assert owner.findings() == [("none", "ok")]
        listed = ("inbox", "deliveries", "--json")

        def has_deliveries(count: int) -> bool:
            return len(json.loads(invoke(owner.settings, *listed).stdout)) == count

        for number, headers in enumerate(disguises, start=1):
            forged = {"content-type": "application/json"} | headers
            assert CLIENT.post(owner.url, content=b"{}", headers=forged).status_code == 401
            eventually(functools.partial(has_deliveries, number), 20)
        assert {one["verdict"] for one in json.loads(run(owner.settings, *listed).stdout)} == {
            "refused"
        }
    assert '"event": "delivery.refused"' in (owner.world.folder / "serve.log").read_text()


def test_rotation_loses_no_delivery(owner: Owner) -> None:
    """Old process, old secret; then the new one; then a day later without the old one."""
    webhook = registered(owner)
    with ExitStack() as stack:
        owner.serve(stack)
        assert owner.ask("rotate", webhook["id"], "--env-file", str(owner.file)).exit_code == 0
        ready_batch(owner.world.gemini_url, state="EXPIRED")
        eventually(lambda: accepted(owner) == 1, what="a delivery to the process of before")
    with ExitStack() as stack:
        owner.serve(stack)
        assert owner.findings() == [("none", "ok")]
        ready_batch(owner.world.gemini_url, state="EXPIRED")
        eventually(lambda: accepted(owner) == 2, what="a delivery to the process of after")


def test_immediate_rotation_is_found_until_the_restart(owner: Owner) -> None:
    webhook = registered(owner)
    before = owner.settings
    with ExitStack() as stack:
        owner.serve(stack)
        assert (
            owner.ask(
                "rotate", webhook["id"], "--immediately", "--env-file", str(owner.file)
            ).exit_code
            == 0
        )
        result = invoke(before, "webhooks", "doctor")
        assert result.exit_code == 1
        assert (
            "GEMINI_WEBHOOK_SECRET has another secret: its deliveries are refused" in result.stdout
        )
        assert f"gemini-batch-receiver webhooks rotate {webhook['id']}" in result.stdout
        assert owner.findings() == [("none", "ok")]


def test_worker_without_the_secret_raises_no_alarm(owner: Owner) -> None:
    """As in compose and Kubernetes: the web process alone has the secret, and the worker makes reconcile runs too."""
    owner.environ["RECONCILE_INTERVAL_S"] = "1"
    registered(owner)
    without = {
        name: value
        for name, value in owner.settings.items()
        if "SECRET" not in name and name != "PUBLIC_URL"
    }
    folder = owner.world.folder
    with ExitStack() as stack:
        client = stack.enter_context(redis.Redis.from_url(owner.world.redis_url))
        stack.enter_context(running_program(folder, without, "worker"))
        eventually(
            lambda: '"event": "reconcile.done"' in (folder / "worker.log").read_text(),
            20,
            "the worker's run",
        )
        alone = run(without, "status")
        assert (alone.returncode, "no web process is running: start" in alone.stderr) == (1, True)
        assert (
            "unknown    the state of the webhook of default: only a web process checks it"
            in alone.stdout
        )
        owner.serve(stack)
        eventually(lambda: kinds_of_faults(client) == [], 20, "what the web process sees")
        before = int(client.hget(RECONCILE, "began") or 0)
        eventually(
            lambda: int(client.hget(RECONCILE, "began") or 0) > before + 3000, 20, "more runs"
        )
        for settings in (without, owner.settings):
            said = run(settings, "status")
            assert (said.returncode, said.stderr, said.stdout.splitlines()[-1]) == (
                0,
                "",
                "in short   All is well",
            )
        doctor = run(without, "webhooks", "doctor")
        assert (doctor.returncode, "refused" in doctor.stdout + doctor.stderr) == (0, False)
    assert [
        event for event in (folder / "worker.log").read_text().splitlines() if "webhook." in event
    ] == []


def test_created_webhook_is_a_step_until_the_secret_is_set(owner: Owner) -> None:
    owner.environ["RECONCILE_INTERVAL_S"] = "1"
    with ExitStack() as stack:
        stack.enter_context(running_program(owner.world.folder, owner.settings, "worker"))
        owner.serve(stack)

        def needs(words: str) -> bool:
            said = invoke(owner.environ, "status")
            return said.exit_code == 1 and words in said.stderr and "rotate" not in said.stderr

        create = (
            f"`gemini-batch-receiver webhooks create --url {owner.world.web_url}` registers one"
        )
        eventually(lambda: needs(create), 20, "the step that registers a webhook")
        registered(owner)
        eventually(
            lambda: needs("the web process has no GEMINI_WEBHOOK_SECRET"),
            20,
            "the step that sets the secret",
        )
        assert '"event": "webhook.' not in (owner.world.folder / "serve.log").read_text()


def test_doctor_mends_what_it_can(owner: Owner) -> None:
    webhook = registered(owner)
    with ExitStack() as stack:
        owner.serve(stack)
        owner.patch(state="disabled", subscribed_events=["batch.failed"], uri=f"{owner.url}/acme")
        wrong = [
            ("unreachable", "wrong"),
            ("misplaced", "wrong"),
            ("disabled", "wrong"),
            ("events", "wrong"),
        ]
        assert owner.findings() == wrong
        assert owner.findings("--fix") == [
            ("misplaced", "fixed"),
            ("disabled", "fixed"),
            ("events", "fixed"),
        ]
        mended = owner.webhook()
        assert sorted(mended.pop("subscribed_events")) == sorted(webhook.pop("subscribed_events"))
        assert mended == webhook
        assert owner.findings("--fix") == [("none", "ok")]


def test_auto_disabled_webhook_comes_back_once_it_answers(owner: Owner) -> None:
    """Gemini gave up on a web process that was away: it is not switched on before there is somebody to hear it."""
    with ExitStack() as stack:
        options = ("--disable-after", "2", "--retry-base", "0.05")
        url = stack.enter_context(running_sandbox(owner.world.folder, *options))
        owner.world = replace(owner.world, gemini_url=url)
        owner.environ["GEMINI_BASE_URL"] = url
        webhook = registered(owner)
        ready_batch(url, state="EXPIRED")
        off = "disabled_due_to_failed_deliveries"
        eventually(lambda: owner.webhook()["state"] == off, 20, "the end of Gemini's patience")
        assert owner.findings("--fix") == [("unreachable", "wrong"), ("disabled", "wrong")]
        assert owner.webhook()["state"] == off
        owner.serve(stack)
        result = owner.ask("doctor", "--fix")
        assert (
            result.exit_code,
            result.stdout.startswith(f"fixed default {webhook['id']}: "),
        ) == (0, True)
        assert "`gemini-batch-receiver replay` for what was missed" in result.stdout
        assert owner.webhook()["state"] == "enabled"


def test_missing_webhook_is_a_command_away(owner: Owner) -> None:
    result = owner.ask("doctor", "--fix")
    assert result.exit_code == 1
    assert f"WRONG default: no webhook is registered for {owner.url}" in result.stdout
    assert f"gemini-batch-receiver webhooks create --url {owner.url}" in result.stdout
    assert owner.ask("list").stderr == "0 webhooks\n"


def test_stated_url_wins(owner: Owner) -> None:
    registered(owner)
    nowhere = f"http://127.0.0.1:{allocate_port()}"
    with ExitStack() as stack:
        owner.serve(stack)
        assert ("misplaced", "wrong") in owner.findings("--url", nowhere)
        owner.environ.pop("PUBLIC_URL")
        assert owner.findings() == [("none", "ok")]  # known by its path
        assert owner.findings("--url", owner.url) == [("none", "ok")]


def test_two_projects_have_two_doors(owner: Owner) -> None:
    owner.environ["GEMINI_API_KEY__ACME"] = "right-key"
    for label in ("default", "acme"):
        assert owner.ask("create", "--project", label, "--env-file", str(owner.file)).exit_code == 0
    assert set(owner.settings) >= {"GEMINI_WEBHOOK_SECRET", "GEMINI_WEBHOOK_SECRET__ACME"}
    with ExitStack() as stack:
        owner.serve(stack)
        found = json.loads(owner.ask("doctor", "--json").stdout)
        assert [(one["project"], one["level"]) for one in found if one["problem"] == "none"] == [
            ("default", "ok"),
            ("acme", "ok"),
        ]
    assert owner.ask("doctor", "--url", owner.url).exit_code == 2


def kinds_of_faults(client: "redis.Redis") -> list[str] | None:
    """What the web process says of its only project; None where it could not look."""
    served = [one for process in read_web_processes(client) for one in process.projects]
    return (
        None
        if not served or served[0].faults is None
        else [fault.kind for fault in served[0].faults]
    )


def test_schedule_warns_of_a_disabled_webhook(owner: Owner) -> None:
    owner.environ["RECONCILE_INTERVAL_S"] = "1"
    webhook = registered(owner)
    log = owner.world.folder / "serve.log"
    with ExitStack() as stack:
        client = stack.enter_context(redis.Redis.from_url(owner.world.redis_url))
        owner.serve(stack)
        eventually(lambda: client.hexists(RECONCILE, "complete"), 20, "the first look")
        assert "webhook." not in log.read_text()
        eventually(lambda: kinds_of_faults(client) == [], 20, "a look that finds nothing")
        owner.patch(state="disabled")
        eventually(lambda: '"event": "webhook.disabled"' in log.read_text(), 20, "the warning")
        eventually(lambda: kinds_of_faults(client) == ["disabled"], 20, "what the look found")
        assert run(owner.settings, "status").stderr.startswith("no worker is running: start")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    warning = next(line for line in lines if line["event"] == "webhook.disabled")
    assert (warning["level"], warning["webhook"], warning["project"]) == (
        "warning",
        webhook["id"],
        "default",
    )
    assert f"webhooks update {webhook['id']} --state enabled" in warning["hint"]


def test_commands_write_no_secret(owner: Owner) -> None:
    """Logs at DEBUG, words and JSON of every command but those whose answer the secret is."""
    owner.environ |= {"LOG_LEVEL": "DEBUG", "GEMINI_API_KEY": "canary-api-key"}
    webhook = registered(owner)
    said = [owner.run("rotate", webhook["id"], "--env-file", str(owner.file), "--json")]
    said += [owner.run(*args.split()) for args in ("list", "doctor --fix --json", "create")]
    said += [
        owner.run(*args, webhook["id"])
        for args in (["show", "--json"], ["ping"], ["delete", "--yes"])
    ]
    with ExitStack() as stack:
        owner.serve(stack)
    text = (
        "".join(one.stdout + one.stderr for one in said)
        + (owner.world.folder / "serve.log").read_text()
    )
    secrets = owner.settings["GEMINI_WEBHOOK_SECRET"].split(",")
    assert len(secrets) == 2
    assert [
        secret for secret in [*secrets, "canary-api-key"] if secret.removeprefix("whsec_") in text
    ] == []
