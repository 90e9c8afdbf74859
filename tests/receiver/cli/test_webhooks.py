"""The commands as a person types them; the stand-in of Gemini is a process beside them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.gemini.registered_webhooks import BATCH_EVENTS
from receiver.gemini.transport import Transport
from receiver.gemini.webhooks import Webhooks
from receiver.settings.settings import read_settings
from tests.answering import Answer, answering
from tests.forwarding import gate_before
from tests.receiver.forging import SECRET_TEXT
from tests.running import CLIENT

ORIGIN = "https://batches.example.com"
URL = f"{ORIGIN}/webhooks/gemini"


@dataclass(frozen=True)
class Place:
    environ: dict[str, str]
    webhooks: Webhooks
    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / ".env"

    def run(self, *args: str, **environ: str) -> Result:
        return CliRunner().invoke(main, ["webhooks", *args], env=self.environ | environ)

    def created(self, *args: str, **environ: str) -> dict[str, Any]:
        result = self.run("create", "--json", *args, **environ)
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found


@pytest.fixture
def place(sandbox_url: str, tmp_path: Path) -> Iterator[Place]:
    CLIENT.delete(f"{sandbox_url}/sandbox/state").raise_for_status()
    environ = {"GEMINI_API_KEY": "right-key", "GEMINI_BASE_URL": sandbox_url, "LOG_LEVEL": "DEBUG"}
    with Transport(sandbox_url, "right-key", "v1beta") as transport:
        yield Place(environ, Webhooks(transport), tmp_path)


def held(file: Path, variable: str = "GEMINI_WEBHOOK_SECRET") -> list[str]:
    lines = [line.partition("=") for line in file.read_text().splitlines()]
    (value,) = [value for name, _, value in lines if name == variable]
    return value.split(",")


def test_secret_is_printed_once(place: Place) -> None:
    result = place.run("create", "--url", ORIGIN)
    assert (result.exit_code, result.stdout.count("whsec_"), result.stderr.count("whsec_")) == (
        0,
        1,
        0,
    )
    assert "This secret is not shown again: set GEMINI_WEBHOOK_SECRET to it." in result.stderr
    assert "Restart the web process" in result.stderr
    (webhook,) = place.webhooks.list()
    assert (webhook.uri, webhook.events, webhook.name) == (
        URL,
        BATCH_EVENTS,
        "gemini-batch-receiver",
    )
    secrets = (
        read_settings({"GEMINI_API_KEY": "k", "GEMINI_WEBHOOK_SECRET": result.stdout})
        .project("")
        .secrets
    )
    assert webhook.secrets[0].may_be(secrets[0])


def test_public_url_is_where_it_goes(place: Place) -> None:
    keys = {"GEMINI_API_KEY__ACME": "right-key", "PUBLIC_URL": ORIGIN}
    assert place.created(**keys)["uri"] == URL
    acme = place.created("--project", "acme", **keys)
    assert (acme["uri"], acme["variable"], acme["project"]) == (
        f"{URL}/acme",
        "GEMINI_WEBHOOK_SECRET__ACME",
        "acme",
    )
    assert place.created("--url", f"{ORIGIN}/own/door", **keys)["uri"] == f"{ORIGIN}/own/door"


def test_events_and_name_are_taken(place: Place) -> None:
    made = place.created(
        "--url", ORIGIN, "--events", "batch.failed,video.generated", "--name", "mine"
    )
    assert (made["events"], made["name"]) == (["batch.failed", "video.generated"], "mine")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "say where the web process is"),
        (["--url", "http://batches.example.com"], "expected https"),
        (["--url", "https://user@batches.example.com"], "without a user"),
        (["--url", ORIGIN, "--events", "batch.failed,"], "'' is not an event"),
        (["--url", ORIGIN, "--project", "acme"], "no project is called acme here"),
    ],
)
def test_wrong_arguments_create_nothing(place: Place, args: list[str], words: str) -> None:
    result = place.run("create", *args)
    assert (result.exit_code, words in result.stderr) == (2, True)
    assert list(place.webhooks.list()) == []


def test_second_webhook_for_an_address_is_refused(place: Place) -> None:
    made = place.created("--url", ORIGIN)
    result = place.run("create", "--url", "https://BATCHES.example.com:443")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"is registered already, as {made['id']} (enabled)" in result.stderr
    assert "--state enabled" not in result.stderr
    assert len(list(place.webhooks.list())) == 1
    rotate = f"if its secret is lost, `gemini-batch-receiver webhooks rotate {made['id']}"
    assert result.stderr.endswith(f"{rotate}` gives a new one\n")

    place.webhooks.update(made["id"], {"state": "disabled"})
    again = place.run("create", "--url", ORIGIN, "--env-file", str(place.file))
    assert f"{rotate} --env-file {place.file}` gives a new one" in again.stderr
    enable = f"; `gemini-batch-receiver webhooks update {made['id']} --state enabled`"
    assert again.stderr.endswith(f"{enable} switches it on\n")


def test_refusal_names_the_file_and_switches_on_what_is_off(place: Place) -> None:
    made = place.created("--url", ORIGIN)
    place.run("update", made["id"], "--state", "disabled")
    result = place.run("create", "--url", ORIGIN, "--env-file", str(place.file))
    assert f"rotate {made['id']} --env-file {place.file}` gives" in result.stderr
    assert f"update {made['id']} --state enabled` switches it on" in result.stderr


def test_rotation_names_no_old_secret_that_is_lost(place: Place) -> None:
    made = place.created("--url", ORIGIN)
    result = place.run("rotate", made["id"], "--env-file", str(place.file))
    assert re.search(r"^The old one is valid until \S+\.$", result.stderr, re.MULTILINE)
    assert len(held(place.file)) == 1


def test_lost_answer_says_how_to_find_out(place: Place) -> None:
    with gate_before(place.environ["GEMINI_BASE_URL"]) as gate:
        gate.where, gate.what, gate.method = "/webhooks", "lose", "POST"
        result = place.run("create", "--url", ORIGIN, GEMINI_BASE_URL=gate.url)
        assert (result.exit_code, result.stdout, "Traceback" in result.stderr) == (1, "", False)
        assert (
            "with a secret that nobody has. `gemini-batch-receiver webhooks list` shows it"
            in result.stderr
        )
        (webhook,) = place.webhooks.list()
        result = place.run("rotate", webhook.id, GEMINI_BASE_URL=gate.url)
        assert (result.exit_code, "Run this again" in result.stderr) == (1, True)
        assert len(gate.paths) == 2  # nothing was sent twice
    again = place.run("create", "--url", ORIGIN)
    assert (again.exit_code, f"webhooks rotate {webhook.id}" in again.stderr) == (1, True)


def test_secret_goes_to_the_file_alone(place: Place) -> None:
    place.file.write_bytes(b"A=1\nGEMINI_WEBHOOK_SECRET=\nB=\xc3\xa4\n")
    result = place.run("create", "--url", ORIGIN, "--env-file", str(place.file))
    assert (result.exit_code, "whsec_" in result.output) == (0, False)
    assert str(place.file) in result.stdout
    (secret,) = held(place.file)
    assert (
        place.file.read_bytes()
        == b"A=1\nGEMINI_WEBHOOK_SECRET=" + secret.encode() + b"\nB=\xc3\xa4\n"
    )
    assert (place.file.stat().st_mode & 0o777) == 0o600


def test_json_holds_no_secret_beside_the_file(place: Place) -> None:
    made = place.created("--url", ORIGIN, "--env-file", str(place.file))
    assert (made["secret"], made["env_file"]) == (None, str(place.file))
    assert held(place.file)[0] not in json.dumps(made)


def test_earlier_secret_stays_in_the_file(place: Place) -> None:
    place.file.write_text(f"WEBHOOK_SIGNING_SECRET='{SECRET_TEXT}'\n")
    place.created("--url", ORIGIN, "--env-file", str(place.file))
    assert held(place.file)[1:] == [SECRET_TEXT]


@pytest.mark.parametrize("content", [b"GEMINI_WEBHOOK_SECRET=hunter2\n", None])
def test_file_that_takes_no_secret_stops_before_the_call(
    place: Place, content: bytes | None
) -> None:
    path = place.file if content else place.folder / "no" / "such" / "folder"
    if content:
        path.write_bytes(content)
    result = place.run("create", "--url", ORIGIN, "--env-file", str(path))
    assert (result.exit_code, "hunter2" in result.output) == (1, False)
    assert list(place.webhooks.list()) == []


def test_secret_without_its_file_is_printed(place: Place) -> None:
    """The folder goes while Gemini creates: what is shown once must be seen once."""
    folder = place.folder / "gone"
    folder.mkdir()
    made = {"id": "abc", "uri": URL, "new_signing_secret": SECRET_TEXT}

    def answer(path: str, _: Message) -> Answer:
        if path.endswith("/webhooks"):
            folder.rmdir()
        return Answer(200, json.dumps({} if "page_size" in path else made).encode())

    with answering(answer) as url:
        result = place.run(
            "create", "--url", ORIGIN, "--env-file", str(folder / ".env"), GEMINI_BASE_URL=url
        )
    assert (result.exit_code, result.stdout, SECRET_TEXT in result.stderr) == (
        1,
        f"{SECRET_TEXT}\n",
        False,
    )
    assert (
        "can't be written: No such file or directory; the secret is on stdout instead"
        in result.stderr
    )


def test_rotation_keeps_both_in_the_file(place: Place) -> None:
    made = place.created("--url", ORIGIN, "--env-file", str(place.file))
    (old,) = held(place.file)
    result = place.run("rotate", made["id"], "--env-file", str(place.file))
    assert (result.exit_code, "whsec_" in result.output) == (0, False)
    tomorrow = datetime.now(UTC) + timedelta(hours=24)
    said = re.search(
        r"The old one is valid until (\S+): remove it from GEMINI_WEBHOOK_SECRET then",
        result.stderr,
    )
    assert said is not None
    assert abs(datetime.fromisoformat(said[1]) - tomorrow) < timedelta(minutes=2)
    new, *kept = held(place.file)
    assert kept == [old]
    assert new != old


def test_old_secret_that_is_nowhere_is_not_to_be_removed(place: Place) -> None:
    made = place.created("--url", ORIGIN)
    place.file.write_text(f"GEMINI_WEBHOOK_SECRET={SECRET_TEXT}\n")  # that of another webhook
    later = place.run("rotate", made["id"], "--env-file", str(place.file))
    assert re.search(r"The old one is valid until \S+Z\.\n", later.stderr)
    now = place.run("rotate", made["id"], "--immediately")
    assert "The old one has ended.\n" in now.stderr


def test_immediate_rotation_takes_the_old_one_out(place: Place) -> None:
    place.file.write_text(f"GEMINI_WEBHOOK_SECRET={SECRET_TEXT}\n")
    made = place.created("--url", ORIGIN, "--env-file", str(place.file))
    old = held(place.file)[0]
    result = place.run(
        "rotate", f"webhooks/{made['id']}", "--immediately", "--env-file", str(place.file)
    )
    assert (result.exit_code, "The old one has ended" in result.stderr) == (0, True)
    new, *kept = held(place.file)
    assert kept == [SECRET_TEXT]  # that of another webhook
    assert old != new


def test_rotation_without_a_file_is_printed(place: Place) -> None:
    made = place.created("--url", ORIGIN)
    result = place.run("rotate", made["id"], GEMINI_WEBHOOK_SECRET=made["secret"])
    assert (result.exit_code, result.stdout.count("whsec_"), result.stderr.count("whsec_")) == (
        0,
        1,
        0,
    )
    assert (
        "set GEMINI_WEBHOOK_SECRET to it, with a comma and the others that it holds after it"
        in result.stderr
    )


def test_list_and_show_tell_ends_alone(place: Place) -> None:
    made = place.created("--url", ORIGIN)
    for args in (
        ["list"],
        ["list", "--json"],
        ["show", made["id"]],
        ["show", made["id"], "--json"],
    ):
        result = place.run(*args)
        assert (result.exit_code, made["secret"] in result.output) == (0, False)
        assert f"whsec_...{made['secret'][-4:]}" in result.stdout
        assert URL in result.stdout
    assert place.run("list").stderr == "1 webhook\n"
    assert json.loads(place.run("list", "--json").stdout)[0]["state"] == "enabled"


def test_failing_project_leaves_others_their_list(place: Place) -> None:
    place.created("--url", ORIGIN)
    result = place.run("list", GEMINI_API_KEY__ACME="wrong-key")
    assert (result.exit_code, URL in result.stdout) == (1, True)
    assert "Error: acme: Gemini refused" in result.stderr
    assert (
        place.run("list", "--project", "default", GEMINI_API_KEY__ACME="wrong-key").exit_code == 0
    )


def test_hostile_name_moves_no_cursor(place: Place) -> None:
    made = place.created("--url", ORIGIN, "--name", "a\x1b[2J\nok    b")
    assert "name    a?[2J?ok    b\n" in place.run("show", made["id"]).stdout


def test_update_changes_what_is_named(place: Place) -> None:
    made = place.created("--url", ORIGIN)
    result = place.run(
        "update", made["id"], "--state", "disabled", "--url", "https://new.example", "--json"
    )
    changed = json.loads(result.stdout)
    assert (changed["state"], changed["uri"]) == ("disabled", "https://new.example/webhooks/gemini")
    assert (changed["name"], changed["events"]) == (made["name"], made["events"])
    assert place.run("update", made["id"]).exit_code == 2
    assert json.loads(
        place.run("update", made["id"], "--name", "x", "--events", "batch.failed", "--json").stdout
    ) == (changed | {"name": "x", "events": ["batch.failed"]})


def test_delete_asks_for_yes(place: Place) -> None:
    made = place.created("--url", ORIGIN)
    assert place.run("delete", made["id"]).exit_code == 2
    assert place.run("delete", made["id"], "--yes").exit_code == 0
    assert list(place.webhooks.list()) == []


@pytest.mark.parametrize("variable", ["GEMINI_WEBHOOK_SECRET_FILE", "WEBHOOK_SIGNING_SECRET_FILE"])
def test_secret_that_a_file_holds_is_not_written_beside_it(place: Place, variable: str) -> None:
    made = place.created("--url", ORIGIN)
    (before,) = place.webhooks.list()
    text = f"{variable}=sec.txt\n"
    place.file.write_text(text)
    for args in (["rotate", made["id"]], ["create", "--url", "https://other.example.com"]):
        result = place.run(*args, "--env-file", str(place.file))
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"the secret comes from a file, which {variable} names" in result.stderr
        assert "leave --env-file out" in result.stderr
    assert list(place.webhooks.list()) == [before]
    assert place.file.read_text() == text


@pytest.mark.parametrize(
    "args", [["show"], ["ping"], ["rotate"], ["delete", "--yes"], ["update", "--name", "x"]]
)
def test_unknown_id_is_said(place: Place, args: list[str]) -> None:
    result = place.run(*args, "nosuchwebhook")
    assert (result.exit_code, "Gemini knows no webhook nosuchwebhook" in result.stderr) == (1, True)
    assert "is no id of a webhook" in place.run(*args, "no/such").stderr
