import tempfile
from pathlib import Path

import pytest

from receiver.outputs.proof_keys import PublicKey
from tests.workers.stored_batches import KEY, KINDS, OTHER_KEY, Stored
from tests.workers.tampering.cases import TAMPERINGS
from tests.workers.tampering.rows import FOUND, NOT, NOTED, Tampering
from workers.verification.findings import VerifyOptions, VerifyReport
from workers.verification.verify_batch import verify_batch

THREATS = (Path(__file__).parent.parent.parent / "deploy" / "THREATS.md").read_text()
PUBLIC, OTHER = PublicKey.parse(KEY.public_key), PublicKey.parse(OTHER_KEY.public_key)
BY_NATURE = {
    "twice": 1
}  # things that are off in an untouched batch: a second line of a key unsettles the books


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("originals")


def prove(stored: Stored, *keys: PublicKey) -> VerifyReport:
    with tempfile.TemporaryDirectory() as scratch:
        return verify_batch(
            stored.storage, "batches/b1", Path(scratch), VerifyOptions(public_keys=keys)
        )


def said(report: VerifyReport) -> str:
    return "\n".join(map(str, report.findings))


@pytest.mark.parametrize("kind", KINDS)
def test_untouched_batch_is_clean(kind: str, originals: Path, tmp_path: Path) -> None:
    report = prove(Stored.copy(kind, originals, tmp_path), OTHER, PUBLIC)
    assert report.off == BY_NATURE.get(kind, 0), said(report)
    assert report.signed_by == KEY.public_key


@pytest.mark.parametrize("case", TAMPERINGS, ids=lambda case: case.name)
def test_tampering_is_found_as_stated(case: Tampering, originals: Path, tmp_path: Path) -> None:
    stored = Stored.copy(case.kind, originals, tmp_path)
    case.spoil(stored)
    report, signed = prove(stored), prove(stored, PUBLIC)
    nature = BY_NATURE.get(case.kind, 0)
    assert (report.off > nature) is (case.plain == FOUND), said(report)
    assert (signed.off > nature) is (case.signed == FOUND), said(signed)
    assert case.words in (said(report) if case.plain == FOUND else "\n".join(report.notes)), said(
        report
    )
    assert case.words or case.plain == NOT


@pytest.mark.parametrize("name", ["/b1/x", "../b1/x", "a/../../b1/x", "a\0/b1/x", ".."])
@pytest.mark.parametrize("kind", ["plain", "grouped"])
def test_object_that_no_file_can_be_called_is_a_finding(
    name: str, kind: str, originals: Path, tmp_path: Path
) -> None:
    stored = Stored.copy(kind, originals, tmp_path)
    stored.row(1, object=name)
    assert "no name of an output" in said(prove(stored))


def test_table_of_threats_says_the_same() -> None:
    """Row for row: what `verify` finds by itself, and with a public key."""
    rows = THREATS.split("| tampering | ")[1].split("\n\n")[0].splitlines()[2:]
    cells = [row.strip("| ").split(" | ") for row in rows]
    stated = {name: (plain, signed) for name, plain, signed, *_ in cells}
    assert stated == {case.row: (case.plain, case.signed) for case in TAMPERINGS}
    assert len(TAMPERINGS) >= 60


def test_each_limit_has_one_verdict() -> None:
    """A row of the table never holds for some of its cases only."""
    verdicts: dict[str, set[tuple[str, str]]] = {}
    for case in TAMPERINGS:
        verdicts.setdefault(case.row, set()).add((case.plain, case.signed))
    assert {row for row, found in verdicts.items() if len(found) > 1} == set()
    assert {verdict for found in verdicts.values() for pair in found for verdict in pair} == {
        FOUND,
        NOTED,
        NOT,
    }
