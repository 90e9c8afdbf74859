"""Files of environment variables, such as `.env`: read as python-dotenv does, changed line by line.

Nothing is interpolated: a `$` is a `$`. What is written needs no quotes where that is possible,
since Docker takes a line as it is, quotes and all.
"""

import io
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from receiver.errors import EnvFileError

MAX_BYTES = 1024 * 1024
BOM = "\ufeff"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
BARE_VALUE = re.compile(r"[A-Za-z0-9_./:@%+,={}~^-]*")  # the same to a shell, Docker and systemd


def parse_env(data: bytes, path: Path) -> dict[str, str]:
    """The variables that the file sets; the last line of a name counts.

    Raises EnvFileError naming the file and the first line that can't be read, but not what it says.
    """
    found = dict[str, str]()
    for binding in _parse(data):
        if fault := _find_fault(binding):
            raise EnvFileError(f"{path}, line {_line_number(binding)}: {fault}")
        if binding.key is not None:
            found[binding.key] = binding.value or ""
    return found


def _find_fault(binding: Binding) -> str | None:
    text = binding.original.string
    if binding.error or (binding.key is not None and binding.value is None):
        return "expected NAME=value, with quotes closed and nothing but a # comment behind them"
    if binding.key is not None and not NAME.fullmatch(binding.key):
        return "a name has letters, digits and _ alone, and does not begin with a digit"
    if "\0" in text:
        return "it holds a NUL byte"
    if binding.key is not None and not _is_utf8(text):
        return "it is not UTF-8"
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _line_number(binding: Binding) -> int:
    text = binding.original.string
    blank = text[: len(text) - len(text.lstrip())]
    return binding.original.line + len(re.findall(r"\r\n|\r|\n", blank))


def _parse(data: bytes) -> Iterator[Binding]:
    """Every byte of the file but its BOM is in one binding; what is no UTF-8 as surrogates."""
    text = data.decode("utf-8", "surrogateescape").removeprefix(BOM)
    return parse_stream(io.StringIO(text, newline=""))


def find_values(data: bytes, name: str) -> list[tuple[str, bool]]:
    """What the lines of the file set the variable to, and whether a comment follows on the line.

    Raises EnvFileError where a line of it can't be read.
    """
    found = list[tuple[str, bool]]()
    for binding in _parse(data):
        text = binding.original.string
        if binding.error and re.match(rf"\s*(?:export\s+)?{name}\b", text):
            number = _line_number(binding)
            raise EnvFileError(f"line {number} sets {name} and can't be read: correct it")
        if binding.key == name and binding.value is not None:
            found.append((binding.value, _has_comment(text, binding.value)))
    return found


def _has_comment(text: str, value: str) -> bool:
    stated = text.partition("=")[2].strip()
    return "#" in stated and stated[:1] not in {"'", '"'} and stated != value


def put_value(data: bytes, name: str, value: str) -> bytes:
    """The file with the variable set, on its own line or on a new last one. All else stays."""
    text = data.decode("utf-8", "surrogateescape")
    line = f"{name}={quote(value)}"
    bindings = list(_parse(data))
    parts = [binding.original.string for binding in bindings]
    place = next((n for n, binding in enumerate(bindings) if binding.key == name), None)
    if place is None:
        ending = "\r\n" if "\r\n" in text else "\n"
        gap = "" if not parts or parts[-1].endswith(("\n", "\r")) else ending
        parts.append(f"{gap}{line}{ending}")
    else:
        parts[place] = _replace(parts[place], line)
    whole = (BOM if text.startswith(BOM) else "") + "".join(parts)
    return whole.encode("utf-8", "surrogateescape")


def _replace(before: str, line: str) -> str:
    """A line with another assignment: what stands before the name stays, and so does its end."""
    opening = re.match(r"\s*(?:export[^\S\r\n]+)?", before)
    ending = before[len(before.rstrip("\r\n")) :]
    return f"{opening[0] if opening else ''}{line}{ending}"


def quote(value: str) -> str:
    """The value as `parse_env` gives it back."""
    if BARE_VALUE.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def put_values(data: bytes, values: Mapping[str, str]) -> bytes:
    """The file with all of these set."""
    for name, value in values.items():
        data = put_value(data, name, value)
    return data


def read_env_file(path: Path) -> bytes:
    """The whole file; nothing where there is none. Raises EnvFileError."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a pipe would keep us waiting
            raise EnvFileError(f"{path} is no regular file: name one")
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
    """Replace the file as a whole, or not at all; only its owner can read it from then on.

    Raises EnvFileError.
    """
    real = Path(os.path.realpath(path))  # a link stays one
    try:
        # readable by us alone
        handle, name = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
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
