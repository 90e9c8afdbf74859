"""A disk that fails during a batch, at some calls; `python -m tests.chaos disk-faults`: at all."""

import re
from collections.abc import Iterator

import pytest

from tests.chaos.disk_faults import CODES, Place, add_batch
from tests.running import running_sandbox
from tests.system_calls import Call, folder_in_memory, require_strace

CASES = {
    "scratch folder": r'mkdir\w* .*/\.tmp/gbr-\w+"',
    "scratch file": r'openat .*/\.tmp/gbr-.*/retry", O_WRONLY',
    "line of the errors": r"write .*/\.tmp/gbr-\w+/errors>",
    "output": r"write .*/\.tmp/\w{16}-\d>",
    "outputs' flush": r"syncfs ",
    "output's name": r'rename.*"faulty/\w.*',
    "folder's flush": r"fsync .*/faulty>",
    "index's flush": r"fsync .*/\.tmp/gbr-\w+/index>",
    "manifest's name": r"link.*/_manifest\.json",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, valkey_url: str) -> Iterator[Place]:
    require_strace()
    folder = tmp_path_factory.mktemp("disk-faults")
    with running_sandbox(folder) as url:
        add_batch(folder, url)
        with folder_in_memory() as outputs:
            yield Place(outputs, url, valkey_url, "per_key")


def find(place: Place, pattern: str) -> Call:
    """The last such call: before it, others have succeeded."""
    return [call for call in place.calls if re.match(pattern, f"{call.name} {call.what}")][-1]


@pytest.mark.parametrize("name", CASES)
def test_failed_write_is_told_and_tried_again(place: Place, name: str) -> None:
    code = CODES[list(CASES).index(name) % len(CODES)]
    assert place.fail(find(place, CASES[name]), code) == []


@pytest.mark.parametrize("name", CASES)
def test_killed_write_is_done_again(place: Place, name: str) -> None:
    assert place.kill(find(place, CASES[name])) == []
