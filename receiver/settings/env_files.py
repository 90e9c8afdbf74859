"""Files of environment variables, such as `.env`: one variable's secrets are changed, every other byte stays.

Several secrets are written with commas between them: Docker takes a line as it is, quotes and all, and a shell or
systemd would need quotes around spaces.
"""

import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from receiver.errors import EnvFileError
from receiver.verification.keys import Secret

MAX_BYTES = 1024 * 1024


def find_secrets(data: bytes, names: Sequence[str]) -> list[Secret]:
    """The secrets of the first of the variables that is set to any. Raises EnvFileError where nobody could be sure."""
    for name in names:
        values = [value for line in data.splitlines() if (value := _value(line, name)) is not None]
        if len(values) > 1:
            raise EnvFileError(
                f"{name} is set {len(values)} times in the file: leave one line of it"
            )
        if any(values):
            return _parse(values[0], name)
    return []


def put_secrets(data: bytes, name: str, secrets: Iterable[Secret]) -> bytes:
    """The file with the variable set to these secrets, on its own line or on a new last one."""
    line = f"{name}={','.join(one.show() for one in dict.fromkeys(secrets))}".encode()
    lines = data.splitlines(keepends=True)
    place = next(
        (number for number, text in enumerate(lines) if _value(text, name) is not None), None
    )
    if place is None:
        return data + (b"" if data[-1:] in (b"", b"\n") else b"\n") + line + b"\n"
    found = lines[place]
    export, ending = found[: found.index(name.encode())], found[len(found.rstrip(b"\r\n")) :]
    lines[place] = export + line + ending
    return b"".join(lines)


def _value(line: bytes, name: str) -> str | None:
    """What a line sets the variable to, without quotes; None where it sets another one or none."""
    found = re.fullmatch(
        rb"[ \t]*(?:export[ \t]+)?" + name.encode() + rb"[ \t]*=[ \t]*(.*?)[ \t]*",
        line.rstrip(b"\r\n"),
    )
    if found is None:
        return None
    value = found[1].decode("utf-8", "replace")
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1].strip() if is_quoted else value


def _parse(value: str, name: str) -> list[Secret]:
    try:
        return [Secret.parse(word) for word in re.split(r"[\s,]+", value) if word]
    except ValueError as error:
        raise EnvFileError(
            f"the file sets {name} to something else than secrets ({error}): mend that line"
        ) from None


def read_env_file(path: Path) -> bytes:
    """The whole file; nothing where there is none. Raises EnvFileError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise EnvFileError(f"{path} can't be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise EnvFileError(f"{path} is longer than {MAX_BYTES} bytes: that is no file of variables")
    return data


def write_env_file(path: Path, data: bytes) -> None:
    """Replace the file as a whole, or not at all; only its owner can read it from then on. Raises EnvFileError."""
    real = Path(os.path.realpath(path))  # a link stays one
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{real.name}.", dir=real.parent
        )  # readable by us alone
        try:
            with os.fdopen(handle, "wb") as file:
                _keep_owner(file.fileno(), real)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(real)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise EnvFileError(f"{path} can't be written: {error.strerror}") from error


def _keep_owner(descriptor: int, path: Path) -> None:
    with suppress(OSError, AttributeError):  # a new file, somebody else's, or Windows
        before = path.stat()
        os.fchown(descriptor, before.st_uid, before.st_gid)


def require_writable(path: Path) -> None:
    """Raises EnvFileError where `write_env_file` would: asked before there is a secret to lose."""
    real = Path(os.path.realpath(path))
    if real.is_dir():
        raise EnvFileError(f"{path} is a folder: name a file")
    try:
        with tempfile.TemporaryFile(dir=real.parent):
            pass
    except OSError as error:
        raise EnvFileError(f"{path} can't be written: {error.strerror}") from error
