"""What a process's environment gains at its start: what `.env` sets, and where `up` has its data.

A variable that the environment has already is left alone, even an empty one: whoever starts
processes with an environment of their own is never overruled.
"""

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path

from receiver.errors import EnvFileError
from receiver.settings.env_files import parse_env, read_env_file
from receiver.settings.environment import variables_of
from receiver.settings.secret_files import MARK, file_variable
from receiver.settings.settings import SECRETS, Settings
from receiver.settings.up_file import UP_FILE, read_up_file

DEFAULT_FILE = ".env"
NO_FILE = "none"
ENV_FILE_VARIABLE = "RECEIVER_ENV_FILE"
DATA_FOLDER = variables_of(Settings)["data_folder"]


@dataclass(frozen=True)
class Loaded:
    """What was read on top of the environment."""

    file: Path | None  # the env file, absolute, be it there or not; None: none was to be read
    note: str  # a sentence that says where settings come from
    problem: EnvFileError | None = None  # why the file could not be used; nothing of it was
    of_file: frozenset[str] = frozenset()  # the variables that it gave
    of_up: frozenset[str] = frozenset()  # likewise the data folder's file


def load_environment(environ: MutableMapping[str, str], given: str | None) -> Loaded:
    """Add to `environ` what it lacks: first from the env file, then from the data folder.

    `given` names the file, or says `none`; None takes `.env` of the working folder, if it has one.
    It raises nothing, so that help can be had beside a broken file. Processes that this one starts
    read no file again.
    """
    loaded = _load_env_file(environ, given)
    environ[ENV_FILE_VARIABLE] = NO_FILE

    folder = Path(environ.get(DATA_FOLDER.name, "").strip() or DATA_FOLDER.default).absolute()
    try:
        of_up = _load_up_file(environ, folder)
    except EnvFileError as error:
        return replace(loaded, problem=loaded.problem or error)
    if not of_up:
        return loaded
    note = f"{loaded.note} From {folder / UP_FILE}: {', '.join(sorted(of_up))}."
    return replace(loaded, of_up=of_up, note=note)


def _load_env_file(environ: MutableMapping[str, str], given: str | None) -> Loaded:
    if given == NO_FILE:
        return Loaded(None, "Settings come from the environment alone: no env file was to be read.")
    file = Path(given or DEFAULT_FILE).absolute()
    try:
        data = read_env_file(file)
        if not data and not file.exists():
            return _without_file(file, given)
        values = parse_env(data, file)
        _refuse_env_file_variable(values, file)
    except EnvFileError as error:
        if given is None and isinstance(error.__cause__, IsADirectoryError):
            return _without_file(file, given)  # somebody's virtual environment
        if given is None and isinstance(error.__cause__, PermissionError):
            note = f"Settings come from the environment alone: this user may not read {file}."
            return Loaded(file, note)  # a process manager may have read it for us, as root
        return Loaded(file, "", EnvFileError(f"{error}; `--env-file none` leaves the file unread"))
    hidden = [name for name, value in values.items() if value and environ.get(name) == ""]
    added = _add(environ, _without(environ, values))
    note = f"Settings come from the environment, and what it lacks from {file}."
    if hidden:
        names = ", ".join(sorted(hidden))
        note += (
            f" Set in the environment, but empty, so that the file's line does not count: {names}."
        )
    return Loaded(file, note, of_file=added)


def _refuse_env_file_variable(values: Mapping[str, str], file: Path) -> None:
    if values.get(ENV_FILE_VARIABLE, "").strip():
        raise EnvFileError(
            f"{file} sets {ENV_FILE_VARIABLE}, which says what file to read and can't stand in one:"
            " set it in the environment, or give --env-file"
        )


def _without_file(file: Path, given: str | None) -> Loaded:
    if given is not None:
        problem = f"{file} is not there: name another file with --env-file, or none"
        return Loaded(file, "", EnvFileError(problem))
    where = f"Settings come from the environment alone: there is no .env in {file.parent}"
    return Loaded(file, f"{where}; `gemini-batch-receiver init` writes one.")


def _load_up_file(environ: MutableMapping[str, str], folder: Path) -> frozenset[str]:
    """REDIS_URL and STORAGE_URL where nobody states them; an empty value states nothing."""
    try:
        values = read_up_file(folder)
    except EnvFileError as error:
        if isinstance(error.__cause__, OSError):  # somebody else's
            return frozenset()
        raise
    stated = {name: value for name, value in environ.items() if value.strip()}
    return _add(environ, _without(stated, values))


def _add(environ: MutableMapping[str, str], values: Mapping[str, str]) -> frozenset[str]:
    environ.update(values)
    return frozenset(values)


def _without(environ: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """The values of those that are not set."""
    return {name: value for name, value in values.items() if not _is_set(environ, name)}


def _is_set(environ: Mapping[str, str], name: str) -> bool:
    """Whether the variable is there, or the other form of its secret."""
    return name in environ or environ.get(_other_form(name), "") != ""


def _other_form(name: str) -> str:
    """The variable that would give the same secret by a file, or by itself.

    >>> _other_form("GEMINI_API_KEY__ACME"), _other_form("REDIS_URL_FILE"), _other_form("PORT")
    ('GEMINI_API_KEY_FILE__ACME', 'REDIS_URL', '')
    """
    base, mark, suffix = name.partition("__")
    if base in SECRETS:
        return file_variable(name)
    secret = re.sub(f"{MARK}$", "", base)
    return f"{secret}{mark}{suffix}" if secret != base and secret in SECRETS else ""
