"""What `.env` adds to an environment, and what it never changes."""

import doctest
from pathlib import Path

import pytest

from receiver.errors import EnvFileError
from receiver.settings import dotenv_loading, secret_files
from receiver.settings.dotenv_loading import Loaded, load_environment
from receiver.settings.up_file import write_up_file
from tests.unprivileged import as_nobody


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(environ: dict[str, str], given: str | None = None) -> tuple[dict[str, str], Loaded]:
    """What was added, besides the word that the files have been read."""
    before = dict(environ)
    loaded = load_environment(environ, given)
    assert environ.pop("RECEIVER_ENV_FILE") == "none"
    assert before.items() <= environ.items()
    return {name: value for name, value in environ.items() if name not in before}, loaded


def test_environment_wins_over_the_file(folder: Path) -> None:
    (folder / ".env").write_text("PORT=1\nHOST=file\nLOG_LEVEL=DEBUG\nAWS_REGION=eu\n")
    added, loaded = load({"PORT": "2", "HOST": ""})
    assert added == {"LOG_LEVEL": "DEBUG", "AWS_REGION": "eu"}
    said = "Settings come from the environment, and what it lacks from"
    hidden = "Set in the environment, but empty, so that the file's line does not count: HOST."
    assert loaded.note == f"{said} {folder}/.env. {hidden}"


@pytest.mark.parametrize(
    ("stated", "in_file"),
    [
        ("GEMINI_API_KEY_FILE", "GEMINI_API_KEY"),
        ("REDIS_URL", "REDIS_URL_FILE"),
        ("GEMINI_API_KEY_FILE__ACME", "GEMINI_API_KEY__ACME"),
        ("GEMINI_WEBHOOK_SECRET__ACME", "GEMINI_WEBHOOK_SECRET_FILE__ACME"),
    ],
)
def test_secret_is_set_in_one_form_alone(folder: Path, stated: str, in_file: str) -> None:
    """The start would refuse both, though a process manager had set all that is needed."""
    (folder / ".env").write_text(f"{in_file}=x\n")
    assert load({stated: "y"})[0] == {}
    assert load({stated: ""})[0] == {in_file: "x"}


def test_other_forms_of_names_are_shown() -> None:
    for module in (dotenv_loading, secret_files):
        assert doctest.testmod(module).failed == 0


def test_absent_file_is_no_problem(folder: Path) -> None:
    added, loaded = load({})
    assert (added, loaded.problem) == ({}, None)
    assert f"from the environment alone: there is no .env in {folder};" in loaded.note


def test_folder_of_the_name_is_no_file(folder: Path) -> None:
    (folder / ".env").mkdir()
    assert load({})[1].problem is None


def test_file_of_others_is_left_to_them(folder: Path) -> None:
    (folder / ".env").write_text("PORT=1\n")
    (folder / ".env").chmod(0)
    (folder / "gemini-batch-data").mkdir(mode=0)
    with as_nobody():
        added, loaded = load({})
        assert load({}, ".env")[1].problem is not None
    assert (added, loaded.problem) == ({}, None)
    assert f"this user may not read {folder}/.env" in loaded.note


def test_named_file_takes_the_place_of_the_usual_one(folder: Path) -> None:
    (folder / ".env").write_text("PORT=1\nHOST=usual\n")
    (folder / "other").write_text("PORT=2\n")
    assert load({}, "other")[0] == {"PORT": "2"}
    assert load({}, "none")[0] == {}


def test_named_file_must_be_there(folder: Path) -> None:
    loaded = load({}, "other")[1]
    hint = "name another file with --env-file, or none"
    assert str(loaded.problem) == f"{folder}/other is not there: {hint}"


def test_file_names_no_other_file(folder: Path) -> None:
    (folder / ".env").write_text("PORT=1\nRECEIVER_ENV_FILE=other\n")
    (folder / "other").write_text("PORT=2\n")
    added, loaded = load({})
    assert added == {}
    said = "sets RECEIVER_ENV_FILE, which says what file to read and can't stand in one"
    assert str(loaded.problem).startswith(f"{folder}/.env {said}: set it in the environment")


def test_nothing_of_a_wrong_file_is_taken(folder: Path) -> None:
    (folder / ".env").write_text("PORT=1\nHOST hunter2\n")
    added, loaded = load({})
    assert added == {}
    assert str(loaded.problem).startswith(f"{folder}/.env, line 2: expected NAME=value")
    assert "`--env-file none` leaves the file unread" in str(loaded.problem)
    assert "hunter2" not in str(loaded.problem)


def test_folder_of_up_says_where_redis_is(folder: Path) -> None:
    data = folder / "gemini-batch-data"
    data.mkdir()
    write_up_file(data, ["REDIS_URL", "STORAGE_URL"])
    added, loaded = load({})
    redis_url, storage_url = f"unix://{data}/valkey/valkey.sock", f"file://{data}/outputs"
    assert added == {"REDIS_URL": redis_url, "STORAGE_URL": storage_url}
    assert loaded.of_up == set(added)
    assert loaded.note.endswith(f" From {data}/up.env: REDIS_URL, STORAGE_URL.")
    assert load({}, "none")[0] == added
    assert load({"REDIS_URL_FILE": "x"})[0] == {"STORAGE_URL": storage_url}
    environ = {"REDIS_URL": " ", "STORAGE_URL": "file:c"}
    assert load_environment(environ, None).of_up == {"REDIS_URL"}
    assert (environ["REDIS_URL"], environ["STORAGE_URL"]) == (redis_url, "file:c")


def test_folder_of_up_is_named_by_a_setting(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    write_up_file(folder / "elsewhere", ["REDIS_URL"])
    (folder / ".env").write_text("DATA_FOLDER=elsewhere\n")
    redis_url = f"unix://{folder}/elsewhere/valkey/valkey.sock"
    assert load({})[0] == {"DATA_FOLDER": "elsewhere", "REDIS_URL": redis_url}
    (folder / "elsewhere" / "up.env").write_text("REDIS_URL\n")
    assert isinstance(load({})[1].problem, EnvFileError)
