import os
from pathlib import Path

import pytest

from receiver.errors import SettingsError
from receiver.settings.projects import Project
from receiver.settings.secret_files import MAX_BYTES
from receiver.settings.settings import SECRETS, read_settings
from tests.pages import section
from tests.receiver.forging import SECRET, SECRET_TEXT

CANARY = "canary-of-a-secret"


def keep(folder: Path, text: str | bytes) -> str:
    """A new file that holds the text. Gives its path."""
    path = folder / f"secret-{len(list(folder.iterdir()))}"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def refusal_of(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as told:
        read_settings(environ)
    return [line.strip() for line in str(told.value).splitlines()[1:]]


def test_files_hold_the_secrets(tmp_path: Path) -> None:
    environ = {
        "GEMINI_API_KEY_FILE": keep(tmp_path, "key-1\n"),
        "GEMINI_WEBHOOK_SECRET_FILE": keep(tmp_path, f"{SECRET_TEXT}\r\n"),
        "REDIS_URL_FILE": keep(tmp_path, f"redis://:{CANARY}@127.0.0.1:1/0"),
    }
    settings = read_settings(environ)
    assert settings.project("") == Project("", "key-1", (SECRET,), None)
    assert settings.redis_url == f"redis://:{CANARY}@127.0.0.1:1/0"
    assert CANARY not in repr(settings)


def test_suffix_comes_last(tmp_path: Path) -> None:
    environ = {
        "GOOGLE_API_KEY_FILE__ACME": keep(tmp_path, "key-2"),
        "WEBHOOK_SIGNING_SECRET_FILE__ACME": keep(tmp_path, f"{SECRET_TEXT}\n{SECRET_TEXT}\n"),
    }
    assert read_settings(environ).projects == {
        "acme": Project("acme", "key-2", (SECRET, SECRET), None)
    }
    (told,) = refusal_of(
        {"GEMINI_API_KEY": "key-1", "GEMINI_API_KEY__ACME_FILE": keep(tmp_path, "key-2")}
    )
    name, _, problem = told.partition(": ")
    assert name == "GEMINI_API_KEY__ACME_FILE"
    assert problem == "a project's suffix comes last, such as GEMINI_API_KEY_FILE__ACME"


def test_blank_path_is_unset() -> None:
    assert (
        read_settings({"GEMINI_API_KEY": "key-1", "GEMINI_API_KEY_FILE": " "}).project("").api_key
        == "key-1"
    )


@pytest.mark.parametrize("suffix", ["", "__ACME"])
def test_both_ways_are_refused(tmp_path: Path, suffix: str) -> None:
    path = keep(tmp_path, CANARY)
    (told,) = refusal_of({f"GEMINI_API_KEY{suffix}": "key-1", f"GEMINI_API_KEY_FILE{suffix}": path})
    assert (
        told
        == f"GEMINI_API_KEY_FILE{suffix}: GEMINI_API_KEY{suffix} is set too: take one of them out"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"\xff\xfe", "the file is no text"),
        (b"x" * (MAX_BYTES + 1), "that is no secret"),
    ],
)
@pytest.mark.parametrize(
    "name", ["GEMINI_API_KEY_FILE", "GEMINI_API_KEY_FILE__ACME", "REDIS_URL_FILE"]
)
def test_wrong_file_names_its_variable(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    environ = {} if name.startswith("GEMINI") else {"GEMINI_API_KEY": "key-1"}
    (told,) = refusal_of(environ | {name: keep(tmp_path, content)})
    assert told.startswith(f"{name}: ")
    assert words in told


@pytest.mark.parametrize("path", [CANARY, f"/{CANARY}/{CANARY}", CANARY * 1000, os.devnull])
def test_path_is_never_quoted(path: str) -> None:
    """Somebody may put the secret itself where its file should be named."""
    (told,) = refusal_of({"GEMINI_API_KEY_FILE": path})
    assert told.startswith("GEMINI_API_KEY_FILE: the file ")
    assert CANARY not in told


def test_what_the_file_holds_is_never_quoted(tmp_path: Path) -> None:
    (told,) = refusal_of({"GEMINI_API_KEY_FILE": keep(tmp_path, f"{CANARY} two words")})
    assert told.startswith("GEMINI_API_KEY_FILE: must be one word")
    assert CANARY not in told


def test_pages_name_every_file_variable() -> None:
    text = section("### Secrets from files")
    assert [name for name in SECRETS if f"`{name}_FILE`" not in text] == []
