"""What `verify` says of batches of an older version, of other rules, and signed in a race."""

import base64
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from receiver.cli import main
from receiver.errors import AlreadyStoredError
from receiver.outputs.paths import Template, signature_name
from receiver.outputs.proof_keys import PublicKey, read_signature
from receiver.storage import LocalStorage
from tests.workers.stored_batches import ANSWERS, DATA, KEY, OTHER_KEY, SCHEMA, Stored, used
from tests.workers.storing import GROUPED, PER_KEY, store
from workers.store.manifest import commit_manifest
from workers.verification.findings import VerifyOptions, VerifyReport
from workers.verification.verify_batch import verify_batch

NEW_FIELDS = ("capitals", "key_pattern", "meta", "rules")
PUBLIC = PublicKey.parse(KEY.public_key)


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return Stored(LocalStorage(tmp_path / "outputs"))


def prove(stored: Stored, *keys: PublicKey) -> VerifyReport:
    with tempfile.TemporaryDirectory() as scratch:
        return verify_batch(
            stored.storage, "batches/b1", Path(scratch), VerifyOptions(public_keys=keys)
        )


def said(report: VerifyReport) -> list[str]:
    return [str(finding) for finding in report.findings]


@pytest.mark.parametrize(
    ("template", "notes"),
    [
        (PER_KEY, []),
        (Template.parse("{date}/{batch}/{key}.json"), []),
        (GROUPED, ["the names of the outputs: its manifest does not tell KEY_PATTERN"]),
        (
            Template.parse("{batch}/{meta.team}/{key}.json"),
            [
                "the names of the outputs: its manifest does not tell the metadata that its template takes"
            ],
        ),
    ],
    ids=["per key", "dated", "grouped", "by team"],
)
def test_batch_of_an_older_version_is_proven(
    stored: Stored, template: Template, notes: list[str]
) -> None:
    """Its manifest lacks what newer ones have: what can't be checked is said, and nothing else."""
    store(stored.storage, DATA, 10, template, metadata={"team": "red"})
    stored.leave_out(*NEW_FIELDS)
    report = prove(stored)
    assert said(report) == []
    assert report.notes == notes


def test_stray_is_found_where_names_are_not_known(stored: Stored) -> None:
    store(
        stored.storage, DATA, 10, Template.parse("{lang}/{batch}/{key}.json", "(?P<lang>[a-z]+)-.*")
    )
    stored.leave_out(*NEW_FIELDS)
    stored.put("de/b1/zz.json", b"{}\n")
    stored.put("de/b2/zz.json", b"{}\n")  # another batch's
    assert said(prove(stored)) == ["de/b1/zz.json: no record of the batch names it"]


def test_key_is_held_against_the_line_whatever_the_version(stored: Stored) -> None:
    store(stored.storage, DATA, 10)
    stored.row(1, key="de-9")
    stored.leave_out(*NEW_FIELDS)
    (finding,) = said(prove(stored))
    assert finding.endswith("its row has the key 'de-9', the line itself 'de-1'")


def test_other_rules_are_no_fault(stored: Stored) -> None:
    """An older version took the cut answer for a whole one: a note says so, its sums are right."""
    store(stored.storage, DATA, 10)
    outcomes = stored.manifest["outcomes"]
    stored.row(6, outcome="ok")
    stored.say(
        outcomes=outcomes | {"ok": outcomes["ok"] + 1, "truncated": outcomes["truncated"] - 1}
    )
    assert said(prove(stored))[0].endswith("its row says ok, the line is truncated")
    stored.leave_out(*NEW_FIELDS)
    report = prove(stored)
    assert said(report) == []
    (note,) = report.notes
    assert note.endswith(
        "1 line is judged otherwise by today's rules, line 6: its row says ok, the line is truncated"
    )


def test_other_counts_of_tokens_are_no_fault_of_an_older_version(stored: Stored) -> None:
    store(stored.storage, DATA, 10)
    stored.say(usage=stored.manifest["usage"] | {"total": 0})
    stored.leave_out(*NEW_FIELDS)
    report = prove(stored)
    assert said(report) == []
    assert [note.split(":")[0] for note in report.notes] == ["usage"]


@pytest.mark.parametrize(
    "data", [b"", b"\n", b" \n\t\n", b"\n\n" + DATA, DATA + b"\n", DATA + b"\n\n", DATA + b"\n "]
)
def test_source_with_any_ending_is_proven(stored: Stored, data: bytes) -> None:
    store(stored.storage, data, 10 if DATA in data else 0)
    assert said(prove(stored)) == []


def test_two_workers_leave_one_manifest_with_its_signature(stored: Stored) -> None:
    """Their price lists differ, say: whoever comes second replaces no signature of the first."""
    first = store(stored.storage, DATA, 10)
    second = msgspec.structs.replace(first, cost="unknown", priced=msgspec.UNSET)
    assert first != second
    stored.delete("b1/_manifest.json")
    commit_manifest(stored.storage, first, KEY, None)
    with pytest.raises(AlreadyStoredError):
        commit_manifest(stored.storage, second, KEY, None)
    report = prove(stored, PUBLIC)
    assert said(report) == []
    assert report.signed_by == KEY.public_key


def test_crash_before_the_commit_leaves_no_unsigned_manifest(stored: Stored) -> None:
    """The signature goes first; a later worker with another key replaces it, and either fits."""
    manifest = store(stored.storage, DATA, 10)
    data = stored.read("b1/_manifest.json")
    stored.delete("b1/_manifest.json")
    name = signature_name("b1", hashlib.sha256(data).hexdigest())
    stored.put(name, OTHER_KEY.sign(data))
    commit_manifest(stored.storage, manifest, KEY, None)
    assert prove(stored, PUBLIC).signed_by == KEY.public_key
    assert read_signature(stored.read(name)).public_key == KEY.public_key


def test_verify_says_who_has_signed(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(stored.storage, used("de-1"), 1, proof_key=KEY)
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    monkeypatch.setenv("STORAGE_URL", (tmp_path / "outputs").as_uri())
    assert run("verify", "b1") == (
        0,
        [
            "batches/b1: proven: 1 line, 1 object, 207 bytes",
            "batches/b1: not checked: the signature of the manifest: --public-key tells whose it is",
        ],
    )
    proven = run(
        "verify", "b1", "--public-key", OTHER_KEY.public_key, "--public-key", KEY.public_key
    )
    assert proven == (
        0,
        [f"batches/b1: proven: 1 line, 1 object, 207 bytes, signed by {KEY.public_key}"],
    )
    code, lines = run("verify", "b1", "--public-key", OTHER_KEY.public_key)
    assert (code, lines[-1]) == (1, "batches/b1: 1 thing is off")
    assert lines[0].endswith(f"another key has signed: {KEY.public_key}")
    stored.say(state="FAILED")
    code, lines = run("verify", "b1", "--public-key", KEY.public_key)
    assert code == 1
    assert (
        "b1/_manifest.json: no signature of these bytes is there: it is not signed, or was changed after it was"
        in lines
    )


def test_public_key_is_printed_without_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    code, lines = run("proof-key")
    assert code == 1
    assert "openssl rand -base64 32" in lines[0]
    monkeypatch.setenv("PROOF_KEY", base64.b64encode(KEY.seed).decode())
    assert run("proof-key") == (0, [KEY.public_key])


def test_hostile_name_moves_no_cursor(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(stored.storage, used("de-1"), 1)
    stored.put("b1/\x1b[2J\nbatches/b1: proven: 1", b"")
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    monkeypatch.setenv("STORAGE_URL", (tmp_path / "outputs").as_uri())
    assert run("verify", "b1") == (
        1,
        [
            "b1/?[2J?batches/b1: proven: 1: no record of the batch names it",
            "batches/b1: 1 thing is off",
        ],
    )


def run(*args: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(main, args)
    return result.exit_code, result.output.splitlines()


def test_forms_are_made_again_with_their_schema(stored: Stored) -> None:
    """With the same RESPONSE_SCHEMA, what broke it is proven; with another one, that is said."""
    schema = json.loads(SCHEMA)
    store(stored.storage, ANSWERS, 3, OUTPUT_FORMS="json", RESPONSE_SCHEMA=SCHEMA)
    assert stored.manifest["forms"]["failed"] == {"json": 2, "left_out": 1}
    report = prove_with_schema(stored, schema)
    assert (said(report), report.notes) == ([], [])
    for other in (None, {"type": "array"}):
        assert [note.split(":")[0] for note in prove_with_schema(stored, other).notes] == [
            "the content of the form json"
        ]
    stored.form("b1/_json/fr-1.json", b"{}")
    assert len(said(prove_with_schema(stored, schema))) == 1


def prove_with_schema(stored: Stored, schema: dict[str, Any] | None) -> VerifyReport:
    with tempfile.TemporaryDirectory() as scratch:
        return verify_batch(
            stored.storage, "batches/b1", Path(scratch), VerifyOptions(response_schema=schema)
        )
