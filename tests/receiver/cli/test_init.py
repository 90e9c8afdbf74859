"""`init`, asked by scripts and by a person at a terminal."""

import doctest
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from receiver.cli import init_questions
from receiver.settings.env_files import parse_env
from tests.programs import reading_files
from tests.waiting import eventually

KEY = "right-key"


@dataclass
class Place:
    folder: Path
    environ: dict[str, str]

    @property
    def file(self) -> Path:
        return self.folder / ".env"

    def run(
        self,
        *args: str,
        stdin: str = "",
        **environ: str,
    ) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-m", "workers", "init", *args]
        return subprocess.run(
            argv,
            env=self.environ | environ,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def held(self) -> dict[str, str]:
        return parse_env(self.file.read_bytes(), self.file)


@pytest.fixture
def place(tmp_path: Path, sandbox_url: str) -> Place:
    return Place(tmp_path, reading_files() | {"GEMINI_BASE_URL": sandbox_url})


def test_script_gets_a_file_that_works(place: Place, redis_url: str) -> None:
    result = place.run("--api-key", "-", "--redis-url", redis_url, stdin=f"{KEY}\n")
    assert (result.returncode, result.stderr) == (0, "")
    assert place.held() == {
        "GEMINI_API_KEY": KEY,
        "REDIS_URL": redis_url,
        "STORAGE_URL": "file:outputs",
        "GEMINI_BASE_URL": place.environ["GEMINI_BASE_URL"],
    }
    assert stat.S_IMODE(place.file.stat().st_mode) == 0o600
    assert KEY not in result.stdout
    assert (
        f"{place.file}: GEMINI_API_KEY, REDIS_URL, STORAGE_URL, GEMINI_BASE_URL written"
        in result.stdout
    )
    assert "\n  gemini-batch-receiver up\n  gemini-batch-receiver doctor\n" in result.stdout


def test_public_address_leads_to_its_webhook(place: Place) -> None:
    result = place.run("--api-key", KEY, "--public-url", "https://batches.example.com")
    assert place.held()["PUBLIC_URL"] == "https://batches.example.com"
    assert "\n  gemini-batch-receiver webhooks create --env-file .env\n" in result.stdout


def test_other_file_is_named_in_what_comes_next(place: Place) -> None:
    file = place.folder / "my prod.env"
    argv = [sys.executable, "-m", "workers", "--env-file", file.name, "init", "--api-key", KEY]
    argv += ["--public-url", "https://batches.example.com"]
    result = subprocess.run(
        argv,
        env=place.environ,
        cwd=place.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert parse_env(file.read_bytes(), file)["GEMINI_API_KEY"] == KEY
    command = f"  gemini-batch-receiver --env-file '{file}'"
    assert f"\n{command} up\n{command} doctor\n" in result.stdout
    assert f"\n{command} webhooks create --env-file '{file}'\n" in result.stdout


def test_script_must_give_the_key(place: Place) -> None:
    result = place.run()
    assert result.returncode == 2
    assert "no terminal to ask on: give --api-key; the others have defaults" in result.stderr
    assert not place.file.exists()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--api-key", "two words", "GEMINI_API_KEY: must be one word"),
        ("--redis-url", "127.0.0.1", "REDIS_URL: expected redis://host:port/0"),
        ("--redis-url", "redis://:hunter2@127.0.0.1:9", "REDIS_URL: Redis did not answer"),
        ("--storage-url", "outputs", "STORAGE_URL: expected file:/path"),
        ("--storage-url", "file:/proc/outputs", "STORAGE_URL: "),
        ("--public-url", "http://example.com", "PUBLIC_URL: expected https"),
        (
            "--public-url",
            "https://example.com/path",
            "PUBLIC_URL: expected https://HOST without a path",
        ),
    ],
)
def test_wrong_answer_is_refused(place: Place, option: str, value: str, said: str) -> None:
    given = {"--api-key": KEY} | {option: value}
    result = place.run(*[word for pair in given.items() for word in pair])
    assert (result.returncode, said in result.stderr) == (1, True), result.stderr
    assert "hunter2" not in result.stderr
    assert not place.file.exists()


def test_key_is_tried(place: Place) -> None:
    result = place.run("--api-key", KEY, GEMINI_BASE_URL="http://127.0.0.1:9")
    assert (result.returncode, "GEMINI_API_KEY: no answer from Gemini" in result.stderr) == (
        1,
        True,
    )
    untried = place.run("--api-key", KEY, "--no-checks", GEMINI_BASE_URL="http://127.0.0.1:9")
    assert untried.returncode == 0


def test_place_where_the_key_is_tried_is_kept(place: Place) -> None:
    """So that the next command asks the same Gemini; the usual place is not written."""
    usual = "https://generativelanguage.googleapis.com"
    place.run("--api-key", KEY, "--no-checks", GEMINI_BASE_URL=f"{usual}/")
    assert "GEMINI_BASE_URL" not in place.held()
    place.run("--api-key", KEY)
    assert place.held()["GEMINI_BASE_URL"] == place.environ["GEMINI_BASE_URL"]
    other = place.run("--api-key", KEY, "--no-checks", GEMINI_BASE_URL="http://127.0.0.1:9")
    assert place.held()["GEMINI_BASE_URL"] == place.environ["GEMINI_BASE_URL"]
    assert "GEMINI_BASE_URL is set in the environment too" in other.stderr


def test_wrong_place_of_gemini_is_refused(place: Place) -> None:
    result = place.run("--api-key", KEY, "--no-checks", GEMINI_BASE_URL="http://example.com")
    assert (result.returncode, "GEMINI_BASE_URL: expected https" in result.stderr) == (1, True)
    assert not place.file.exists()


def test_held_values_stay(place: Place) -> None:
    text = (
        f"GEMINI_BASE_URL={place.environ['GEMINI_BASE_URL']}\n"
        "# mine\nGEMINI_API_KEY=right-key # of last year\nexport OTHER='a b'\n"
        "PUBLIC_URL=https://a.example\n"
    )
    place.file.write_text(text)
    refused = place.run("--public-url", "https://b.example")
    assert (refused.returncode, "give --replace to write over it" in refused.stderr) == (1, True)
    assert place.file.read_text() == text
    assert place.run().returncode == 0
    assert place.file.read_text() == f"{text}STORAGE_URL=file:outputs\n"
    assert place.run("--public-url", "https://b.example", "--replace").returncode == 0
    changed = text.replace("a.example", "b.example")
    assert place.file.read_text() == f"{changed}STORAGE_URL=file:outputs\n"


def test_other_variables_of_a_question_are_shown() -> None:
    assert doctest.testmod(init_questions).failed == 0


@pytest.mark.parametrize(
    "other", ["GEMINI_API_KEY_FILE=key.txt", "GOOGLE_API_KEY=k", "GOOGLE_API_KEY_FILE=key.txt"]
)
def test_key_by_another_variable_is_an_answer(place: Place, redis_url: str, other: str) -> None:
    before = f"{other}\nREDIS_URL_FILE=redis.txt\n"
    place.file.write_text(before)
    (place.folder / "key.txt").write_text(KEY)
    (place.folder / "redis.txt").write_text(redis_url)
    result = place.run("--public-url", "https://a.example.com")
    assert (result.returncode, result.stderr) == (0, "")
    added = "STORAGE_URL=file:outputs\nPUBLIC_URL=https://a.example.com\n"
    base_url = f"GEMINI_BASE_URL={place.environ['GEMINI_BASE_URL']}\n"
    assert place.file.read_text() == before + added + base_url


@pytest.mark.parametrize(
    ("held", "option"),
    [
        ("GEMINI_API_KEY_FILE", "--api-key"),
        ("GOOGLE_API_KEY", "--api-key"),
        ("REDIS_URL_FILE", "--redis-url"),
    ],
)
def test_no_second_variable_is_written_beside_another(
    place: Place, redis_url: str, held: str, option: str
) -> None:
    before = f"{held}=something\n"
    place.file.write_text(before)
    options = {"--api-key": KEY, "--redis-url": redis_url}
    result = place.run("--replace", option, options[option])
    assert (result.returncode, f"{place.file} sets {held} in place of" in result.stderr) == (
        2,
        True,
    )
    assert f"leave {option} out" in result.stderr
    assert place.file.read_text() == before


def test_person_is_not_asked_for_what_another_variable_gives(place: Place, redis_url: str) -> None:
    place.file.write_text("GEMINI_API_KEY_FILE=key.txt\n")
    options = ("--redis-url", redis_url, "--storage-url", "file:x", "--public-url", "")
    with person(place, *options) as one:
        one.sees("Next:")
    assert "GEMINI_API_KEY" not in place.held()


def test_variable_set_twice_is_left_alone(place: Place) -> None:
    place.file.write_text("GEMINI_API_KEY=a\nGEMINI_API_KEY=b\n")
    result = place.run()
    assert (result.returncode, "sets GEMINI_API_KEY 2 times" in result.stderr) == (1, True)


def test_environment_that_wins_is_said(place: Place) -> None:
    result = place.run("--api-key", KEY, PUBLIC_URL="https://a.example")
    assert "PUBLIC_URL is set in the environment too, and that value counts" in result.stderr


def test_no_file_to_write_is_said(place: Place) -> None:
    result = place.run("--api-key", KEY, RECEIVER_ENV_FILE="none")
    assert (result.returncode, "there is no file to write" in result.stderr) == (2, True)


class Person:
    """At a terminal, with nothing else on it than `init`."""

    def __init__(self, leader: int) -> None:
        self._leader, self.seen = leader, ""
        os.set_blocking(leader, False)

    def sees(self, text: str) -> None:
        def is_there() -> bool:
            with suppress(BlockingIOError):
                self.seen += os.read(self._leader, 65536).decode()
            return text in self.seen

        eventually(is_there, 30, f"{text!r} on the terminal")
        self.seen = self.seen.partition(text)[2]

    def types(self, text: str) -> None:
        os.write(self._leader, f"{text}\n".encode())


@contextmanager
def person(place: Place, *args: str) -> Iterator[Person]:
    leader, follower = pty.openpty()
    argv = [sys.executable, "-m", "workers", "init", *args]
    process = subprocess.Popen(
        argv,
        env=place.environ | {"TERM": "dumb"},
        cwd=place.folder,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    try:
        yield Person(leader)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def test_person_is_asked_again_until_it_works(place: Place, redis_url: str) -> None:
    with person(place) as one:
        one.sees("Gemini API key")
        one.sees("not shown as you type")
        one.types("two words")
        one.sees("must be one word")
        one.sees("Gemini API key")
        one.types(KEY)
        one.sees("REDIS_URL")
        one.types("redis://127.0.0.1:9")
        one.sees("Redis did not answer")
        one.sees("Take it all the same?")
        one.types("n")
        one.sees("REDIS_URL")
        one.types(redis_url)
        one.sees("[file:outputs]")
        one.types("")
        one.sees("PUBLIC_URL")
        one.types("https://batches.example.com")
        one.sees("Next:")
        assert KEY not in one.seen
    public_url = "https://batches.example.com"
    assert place.held() == {
        "GEMINI_API_KEY": KEY,
        "REDIS_URL": redis_url,
        "STORAGE_URL": "file:outputs",
        "PUBLIC_URL": public_url,
        "GEMINI_BASE_URL": place.environ["GEMINI_BASE_URL"],
    }


def test_person_is_asked_before_a_value_goes(place: Place) -> None:
    place.file.write_text("GEMINI_API_KEY=right-key\nPUBLIC_URL=https://a.example\n")
    others = ("--storage-url", "file:x", "--redis-url", "")
    with person(place, "--public-url", "https://b.example", *others) as one:
        one.sees("Enter keeps that of .env")
        one.types("")
        one.sees("sets PUBLIC_URL to something else already: write over it?")
        one.types("y")
        one.sees("Next:")
    assert place.held() == {
        "GEMINI_API_KEY": KEY,
        "PUBLIC_URL": "https://b.example",
        "STORAGE_URL": "file:x",
        "GEMINI_BASE_URL": place.environ["GEMINI_BASE_URL"],
    }
