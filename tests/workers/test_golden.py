"""The split makes what it made before, byte for byte, of every kind of results and of hostile ones.

After an intended change of outputs: `python -m tests.workers.golden record`.
"""

from pathlib import Path

import pytest

from tests.workers.golden.corpus import CASES
from tests.workers.golden.digests import digest_case, read_recorded

RECORDED = read_recorded()


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_the_version_before(name: str, tmp_path: Path) -> None:
    found = digest_case(CASES[name], tmp_path / "outputs")
    differing = {
        kind for kind in found | RECORDED[name] if found.get(kind) != RECORDED[name].get(kind)
    }
    assert not differing, f"`python -m tests.workers.golden write '{name}' FOLDER` shows them"


def test_every_recorded_case_is_still_tried() -> None:
    assert set(RECORDED) == set(CASES)
