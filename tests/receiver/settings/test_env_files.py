import os
import stat
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from receiver.cli.webhooks.env_secrets import find_secrets, put_secrets
from receiver.errors import EnvFileError
from receiver.settings.env_files import (
    parse_env,
    put_value,
    put_values,
    read_env_file,
    require_writable,
    write_env_file,
)
from receiver.settings.settings import read_settings
from receiver.verification.keys import Secret
from tests.receiver.forging import SECRET, SECRET_TEXT

NAMES = ("GEMINI_WEBHOOK_SECRET", "WEBHOOK_SIGNING_SECRET")
NEW = Secret(b"a new secret of thirty-two bytes")
NEW_TEXT = "whsec_YSBuZXcgc2VjcmV0IG9mIHRoaXJ0eS10d28gYnl0ZXM="
OLD = SECRET_TEXT.encode()
FILE = Path("/srv/app/.env")
LINE = f"GEMINI_WEBHOOK_SECRET={NEW_TEXT}".encode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", LINE + b"\n"),
        (b"A=1", b"A=1\n" + LINE + b"\n"),
        (b"A=1\n", b"A=1\n" + LINE + b"\n"),
        (b"A=1\nGEMINI_WEBHOOK_SECRET=\nB=2\n", b"A=1\n" + LINE + b"\nB=2\n"),
        (b"GEMINI_WEBHOOK_SECRET=x\r\nB=2\r\n", LINE + b"\r\nB=2\r\n"),
        (b"export GEMINI_WEBHOOK_SECRET='x'", b"export " + LINE),
        (b"  GEMINI_WEBHOOK_SECRET = x\nB=\xff\x00\n", b"  " + LINE + b"\nB=\xff\x00\n"),
        (
            b"# GEMINI_WEBHOOK_SECRET=x\nGEMINI_WEBHOOK_SECRET__ACME=y\n",
            b"# GEMINI_WEBHOOK_SECRET=x\nGEMINI_WEBHOOK_SECRET__ACME=y\n" + LINE + b"\n",
        ),
    ],
)
def test_other_bytes_stay(before: bytes, after: bytes) -> None:
    assert put_secrets(before, NAMES[0], [NEW]) == after


@pytest.mark.parametrize(
    "line",
    [
        b"GEMINI_WEBHOOK_SECRET=" + OLD,
        b"export GEMINI_WEBHOOK_SECRET='" + OLD + b"'",
        b'GEMINI_WEBHOOK_SECRET="' + OLD + b" " + OLD + b'"\r',
        b"GEMINI_WEBHOOK_SECRET=\nWEBHOOK_SIGNING_SECRET=" + OLD,
    ],
)
def test_held_secrets_are_found(line: bytes) -> None:
    assert set(find_secrets(b"A=1\n" + line + b"\nB=2\n", NAMES)) == {SECRET}


def test_our_own_lines_are_settings() -> None:
    """What a shell, Docker or systemd makes of the line is what the program takes."""
    text = put_secrets(b"", NAMES[0], [NEW, SECRET, NEW]).decode()
    name, _, value = text.strip().partition("=")
    assert not set(value) & set(" '\"$\\`;&")
    assert read_settings({"GEMINI_API_KEY": "k", name: value}).project("").secrets == (NEW, SECRET)


@pytest.mark.parametrize(
    "data",
    [
        b"GEMINI_WEBHOOK_SECRET=hunter2",
        b"GEMINI_WEBHOOK_SECRET=" + OLD + b" # of the old one hunter2",
        b'GEMINI_WEBHOOK_SECRET="' + OLD + b"\nhunter2" + b'"',
        b"GEMINI_WEBHOOK_SECRET=" + OLD + b"\nGEMINI_WEBHOOK_SECRET=whsec_hunter2",
    ],
)
def test_doubtful_line_is_left_alone(data: bytes) -> None:
    with pytest.raises(EnvFileError) as told:
        find_secrets(data, NAMES)
    assert "hunter2" not in str(told.value)
    assert SECRET_TEXT not in str(told.value)


def test_file_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"A=1\n")
    path.chmod(0o644)
    write_env_file(path, b"A=2\n")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"A=2\n", 0o600)
    assert [one.name for one in tmp_path.iterdir()] == [".env"]


def test_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_bytes(b"")
    link = tmp_path / ".env"
    link.symlink_to(real)
    write_env_file(link, b"A=2\n")
    assert link.is_symlink()
    assert real.read_bytes() == b"A=2\n"


def test_absent_file_is_empty(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / ".env") == b""
    require_writable(tmp_path / ".env")
    assert list(tmp_path.iterdir()) == []


def test_place_that_takes_no_file_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "such" / ".env"):
        with pytest.raises(EnvFileError, match=str(path)):
            require_writable(path)
        with pytest.raises(EnvFileError, match=str(path)):
            write_env_file(path, b"")
    with pytest.raises(EnvFileError, match="can't be read"):
        read_env_file(tmp_path)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - names are enough


def test_huge_file_is_no_env_file(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with path.open("wb") as file:
        file.truncate(2 * 1024 * 1024)
    with pytest.raises(EnvFileError, match="no file of variables"):
        read_env_file(path)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("A=", ""),
        ("  export A = b c  # of old", "b c"),
        ("A=b#c", "b#c"),
        ("A='b # c'", "b # c"),
        ('A="b\\n\\"c\\""  # of old', 'b\n"c"'),
        ("A='b\\n'", "b\\n"),
        ("A='b\nc'", "b\nc"),
        ("A=$HOME/${B:-x}", "$HOME/${B:-x}"),
        ("A=x\r", "x"),
        ("A={batch}/{key}.json", "{batch}/{key}.json"),
        ("A=x\nA=b", "b"),
        ("\ufeffA=b\n# ü\n\nB=1", "b"),
    ],
)
def test_value_is_read(line: str, value: str) -> None:
    assert parse_env(line.encode(), FILE)["A"] == value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"A hunter2", 1),
        (b"A=1\n\n\n  A: hunter2\nB=1", 4),
        (b"A=1\r\n\r\nhunter2\r\n", 3),
        (b"A='1\n2'\nhunter2", 3),
        (b"# x\nA='hunter2", 2),
        (b'A="hunter2" B\n', 1),
        (b"A-B=hunter2", 1),
        (b"1A=hunter2", 1),
        (b"=hunter2", 1),
        (b"A=1\nB=hunter2\0", 2),
        (b"A=1\nB=hunter2\xff", 2),
    ],
)
def test_wrong_line_is_named(text: bytes, number: int) -> None:
    with pytest.raises(EnvFileError, match=rf"^/srv/app/\.env, line {number}: ") as told:
        parse_env(text, FILE)
    assert "hunter2" not in str(told.value)


BEFORE = (b"", b"A=1", b"\n# A\nexport A='1\n2' # c\r\nB=\"2\" # d\n", b"B=2\nA=\nC= 3 \n")


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.sampled_from(BEFORE),
)
@example(value="it's a \\ and a \\'", before=b"A='x'\n")
def test_written_value_is_read_back(value: str, before: bytes) -> None:
    assert parse_env(put_value(before, "A", value), FILE) == parse_env(before, FILE) | {"A": value}


def test_comments_in_other_lines_stay() -> None:
    before = b"\xef\xbb\xbf# a\nA='1\n2' # b\n\n export B = old # c\r\nD=#d"
    after = b"\xef\xbb\xbf# a\nA='1\n2' # b\n\n export B=new\r\nD=#d"
    assert put_value(before, "B", "new") == after
    assert put_values(b"A=1", {"B": "2 3", "A": "4"}) == b"A=4\nB='2 3'\n"


def test_unreadable_line_of_a_secret_is_not_written_over() -> None:
    with pytest.raises(EnvFileError, match="line 2 sets GEMINI_WEBHOOK_SECRET and can't be read"):
        find_secrets(b"A=1\nexport GEMINI_WEBHOOK_SECRET='" + OLD + b"\n", NAMES)
