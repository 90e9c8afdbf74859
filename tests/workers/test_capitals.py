"""Names keep capitals where the storage tells case apart, and each batch says what it did."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.outputs.name_codec import Capitals
from receiver.outputs.paths import Template
from receiver.storage import LocalStorage
from receiver.storage.local import CASE_IGNORED
from tests.case_ignored import folder_that_ignores_case
from tests.workers.lying import Liar, lines_of, open_liar
from tests.workers.storing import GROUPED, PER_KEY, change_manifest, store
from workers.verification.findings import VerifyReport
from workers.verification.verify_batch import verify_batch

KEYS = ("Key", "key", "KEY", "Über/Key")
LINES = lines_of(*KEYS)
KEPT = ["b1/!c3!9cber!2fKey.json", "b1/KEY.json", "b1/Key.json", "b1/key.json"]
ENCODED = ["b1/!c3!9cber!2fKey!u8.json", "b1/KEY!u7.json", "b1/Key!u1.json", "b1/key.json"]


@pytest.fixture
def liar(
    client: "redis.Redis", redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Liar]:
    with open_liar(client, tmp_path / "outputs", monkeypatch, redis_url) as liar:
        liar.stats = {"requestCount": str(len(KEYS)), "successfulRequestCount": str(len(KEYS))}
        liar.bodies = [LINES]
        yield liar


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def outputs(storage: LocalStorage) -> list[str]:
    return [
        name for name in storage.list_names("b1") if not name.rpartition("/")[2].startswith("_")
    ]


def prove(storage: LocalStorage) -> VerifyReport:
    with tempfile.TemporaryDirectory() as scratch:
        return verify_batch(storage, "batches/b1", Path(scratch))


def require_found() -> None:
    """The batch is proven, and each answer is found by its key."""
    proof = run("verify", "b1")
    assert proof.exit_code == 0, proof.output
    for key in KEYS:
        assert json.loads(run("batches", "results", "b1", key).stdout)["key"] == key
    assert run("batches", "show", "b1").exit_code == 0


def store_again(liar: Liar) -> None:
    assert run("replay", "--again", "b1").exit_code == 0
    assert liar.work() == "done"


def test_capitals_are_kept_where_case_is_told_apart(liar: Liar) -> None:
    liar.store()
    assert (outputs(liar.storage), liar.manifest.capitals) == (KEPT, "kept")
    require_found()


def test_capitals_are_encoded_where_case_is_ignored(liar: Liar) -> None:
    liar.storage.put_many([(CASE_IGNORED, b"found out by another machine\n")])
    liar.store()
    assert (outputs(liar.storage), liar.manifest.capitals) == (ENCODED, "encoded")
    require_found()


def test_batch_of_the_version_before_keeps_its_names(liar: Liar) -> None:
    """It encoded capitals everywhere and did not say so. Stored again, it replaces them."""
    store(liar.storage, LINES, len(KEYS))
    manifest = json.loads((liar.storage.root / "b1/_manifest.json").read_bytes())
    del manifest["capitals"]
    liar.storage.put_many([("b1/_manifest.json", json.dumps(manifest).encode())])
    require_found()
    store_again(liar)
    assert (outputs(liar.storage), liar.manifest.capitals) == (ENCODED, "encoded")
    require_found()


def test_batch_is_stored_anew_with_safe_names_where_case_is_ignored_by_now(liar: Liar) -> None:
    liar.store()
    liar.storage.put_many([(CASE_IGNORED, b"the folder was moved\n")])
    store_again(liar)
    assert liar.manifest.capitals == "encoded"
    assert outputs(liar.storage) == sorted(
        {*KEPT, *ENCODED}
    )  # the replaced manifest names the others
    require_found()


def test_batch_that_can_not_be_read_any_more_takes_the_names_of_a_new_one(liar: Liar) -> None:
    liar.store()
    liar.storage.put_many([("b1/_manifest.json", b"{")])
    store_again(liar)
    assert (outputs(liar.storage), liar.manifest.capitals) == (KEPT, "kept")
    require_found()


@pytest.mark.parametrize(
    "template", [PER_KEY, GROUPED, Template.parse("{batch}/{first}/{key}.json", "(?P<first>.).*")]
)
@pytest.mark.parametrize("capitals", ["kept", "encoded"])
def test_wrong_word_of_capitals_is_found(
    tmp_path: Path, template: Template, capitals: Capitals
) -> None:
    storage = LocalStorage(tmp_path)
    store(storage, LINES, len(KEYS), replace(template, capitals=capitals))
    assert prove(storage).findings == []
    change_manifest(storage, capitals="encoded" if capitals == "kept" else "kept")
    found = [str(finding) for finding in prove(storage).findings]
    assert any("b1/_index.jsonl.gz" in finding for finding in found) is (template is not GROUPED)


@pytest.fixture
def ignoring(tmp_path: Path) -> Iterator[Path]:
    with folder_that_ignores_case(tmp_path) as folder:
        yield folder


def test_copy_to_where_case_is_ignored_is_told(tmp_path: Path, ignoring: Path) -> None:
    """Of three answers whose keys differ by case one is left: the others are named, and why."""
    storage = LocalStorage(tmp_path / "outputs")
    store(storage, LINES, len(KEYS), replace(PER_KEY, capitals="kept"))
    assert (prove(storage).notes, prove(storage).findings) == ([], [])
    shutil.copytree(storage.root, ignoring / "outputs")
    report = prove(LocalStorage(ignoring / "outputs"))
    wrong = {finding.object for finding in report.findings if "sha256" in finding.message}
    assert len(wrong & set(KEPT[1:])) == 2
    (note,) = report.notes
    assert note.startswith("names that differ by case only: this storage takes them for one")


def test_batch_in_a_folder_that_ignores_case_loses_nothing(
    liar: Liar, ignoring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ignoring / "outputs"
    monkeypatch.setenv("STORAGE_URL", folder.as_uri())
    liar.storage = LocalStorage(folder)
    liar.store()
    assert liar.manifest.capitals == "encoded"
    assert len(outputs(liar.storage)) == len(KEYS)
    for key in KEYS:
        assert json.loads(run("batches", "results", "b1", key).stdout)["key"] == key
