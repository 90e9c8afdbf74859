"""Secrets from files: `GEMINI_API_KEY_FILE` names a file that holds what `GEMINI_API_KEY` would.

Docker, Kubernetes and systemd hand secrets out as files; an environment is seen by every child
process and by everybody who may inspect the container. A project's suffix comes last:
`GEMINI_API_KEY_FILE__ACME`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MARK = "_FILE"
UNREADABLE = "?"  # keeps the variable set, so that it isn't said to be missing as well
MAX_BYTES = 64 * 1024


def file_variable(name: str) -> str:
    """The variable that names a file with this secret.

    >>> file_variable("GEMINI_API_KEY"), file_variable("GEMINI_API_KEY__ACME")
    ('GEMINI_API_KEY_FILE', 'GEMINI_API_KEY_FILE__ACME')
    """
    base, mark, suffix = name.partition("__")
    return f"{base}{MARK}{mark}{suffix}"


@dataclass(frozen=True)
class WithSecrets:
    """An environment with the secrets of its files in it."""

    environ: Mapping[str, str]
    problems: Mapping[str, str]  # by the name of the unreadable secret; none quotes a value
    files: Mapping[str, str]  # the variable that named a file, by the name of the secret


def read_secret_files(environ: Mapping[str, str], secrets: Collection[str]) -> WithSecrets:
    """Put what the files hold under the secrets' own names.

    `secrets` are the variables that a file may hold.
    """
    found, problems, files = dict(environ), dict[str, str](), dict[str, str]()
    for variable, name in _stated_files(environ, secrets):
        files[name] = variable
        try:
            _require_unset(name, environ)
            found[name] = _read(environ[variable].strip())
        except ValueError as error:
            problems[name] = f"{variable}: {error}"
            found[name] = UNREADABLE
    return WithSecrets(found, problems, files)


def _stated_files(
    environ: Mapping[str, str], secrets: Collection[str]
) -> Iterator[tuple[str, str]]:
    """The variables that name a file, each with the variable that it stands for."""
    for variable in sorted(environ):
        name, mark, suffix = variable.partition("__")
        secret = name.removesuffix(MARK)
        if name.endswith(MARK) and secret in secrets and environ[variable].strip():
            yield variable, secret + mark + suffix


def _require_unset(name: str, environ: Mapping[str, str]) -> None:
    if environ.get(name, "").strip():
        raise ValueError(f"{name} is set too: take one of them out")


def _read(path: str) -> str:
    """The text of the file, without white space around it.

    Raises ValueError without the path: it may be the secret itself, in the wrong place.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(
            f"the file can't be read ({error.strerror}): give the path of a file with the secret"
        ) from error
    except ValueError as error:
        raise ValueError("is no path: give the path of a file with the secret") from error
    if len(data) > MAX_BYTES:
        raise ValueError(f"the file is longer than {MAX_BYTES} bytes: that is no secret")
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("the file is no text: put the secret into it, and nothing else") from None
    if not text:
        raise ValueError("the file is empty: put the secret into it, and nothing else")
    return text
