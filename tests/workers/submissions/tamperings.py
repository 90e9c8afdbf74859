"""What somebody who may write to the storage does to a stored submission."""

import gzip
import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from receiver.outputs.proof_keys import PublicKey
from receiver.storage import LocalStorage
from tests.workers.submissions.stored_submissions import SCHEMA, request
from workers.submissions.verify_submission import verify_submission
from workers.verification.findings import SubmissionReport, VerifyOptions

MODEL = "gemini-3.5-flash"
Row = dict[str, Any]


@dataclass
class Copied:
    """A copy to spoil."""

    storage: LocalStorage
    id: str

    @property
    def folder(self) -> str:
        return f"_submissions/{self.id}"

    def read(self, name: str) -> bytes:
        data = self.storage.read(name)
        assert data is not None, name
        return data

    def put(self, name: str, data: bytes) -> None:
        self.storage.put_many([(name, data)])

    def delete(self, beginning: str, *names: str) -> None:
        """These objects, and all whose names begin so."""
        found = [name for name in self.storage.list_names("") if name.startswith(beginning)]
        assert found
        for name in (*found, *names):
            self.storage.delete(name)

    def edit(self, name: str, change: Callable[[bytes], bytes]) -> None:
        data = self.read(name)
        assert change(data) != data
        self.put(name, change(data))

    @property
    def manifest(self) -> Row:
        found: Row = json.loads(self.read(f"{self.folder}/manifest.json"))
        return found

    @property
    def digest(self) -> str:
        """The sha256 of the manifest."""
        return sha256(self.read(f"{self.folder}/manifest.json"))

    def say(self, **fields: Any) -> None:
        """Change fields of the manifest, which is signed no more."""
        assert any(self.manifest[name] != value for name, value in fields.items())
        self.put(f"{self.folder}/manifest.json", json.dumps(self.manifest | fields).encode())

    def answers(self, change: Callable[[list[Row]], list[Row]]) -> None:
        """Change rows, and the sha256 of all in the manifest, as one does to cover tracks."""
        name = f"{self.folder}/answers.jsonl"
        rows = change([json.loads(line) for line in self.read(name).splitlines()])
        data = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
        self.put(name, data)
        self.say(answers={"name": name, "sha256": sha256(data)})

    def fit(self, number: int) -> None:
        """Make the sha256 of the manifest of a batch fit."""
        batches = self.manifest["batches"]
        data = self.read(f"b{number}/_manifest.json")
        batches[number - 1]["manifest_sha256"] = sha256(data)
        self.say(batches=batches)

    def verify(self, *keys: PublicKey, with_batches: bool = True) -> SubmissionReport:
        options = VerifyOptions(public_keys=keys, response_schema=json.loads(SCHEMA))
        with tempfile.TemporaryDirectory() as scratch:
            return verify_submission(
                self.storage, self.id, Path(scratch), options, with_batches=with_batches
            )


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def forge_answer(it: Copied) -> None:
    it.edit("b1/k1.json", lambda data: data.replace(b"1}", b"7}"))
    it.edit("b1/_manifest.json", lambda data: data + b"\n")
    it.fit(1)


def exchange_index(it: Copied) -> None:
    """k5, which was blocked, is called answered."""
    rows = gzip.decompress(it.read("b2/_index.jsonl.gz")).replace(b'"blocked"', b'"ok"')
    data = gzip.compress(rows)
    it.put("b2/_index.jsonl.gz", data)
    manifest = json.loads(it.read("b2/_manifest.json"))
    manifest["index"]["sha256"] = sha256(data)
    it.put("b2/_manifest.json", json.dumps(manifest).encode())
    it.fit(2)


FOUND, SIGNED = True, False  # whether also without a public key
TAMPERINGS: dict[str, tuple[Callable[[Copied], object], bool, str]] = {
    "an answer is called an error": (
        lambda it: it.answers(lambda rows: [rows[0] | {"outcome": "error"}, *rows[1:]]),
        FOUND,
        "answers.jsonl, line 1: its row should be",
    ),
    "a row names another line": (
        lambda it: it.answers(lambda rows: [rows[1] | {"request": 1, "key": "k1"}, *rows[1:]]),
        FOUND,
        "answers.jsonl, line 1: its row should be",
    ),
    "a row is left out": (
        lambda it: it.answers(lambda rows: rows[:-1]),
        FOUND,
        "answers.jsonl, line 6: the row of this request is not there",
    ),
    "a row is added": (
        lambda it: it.answers(lambda rows: [*rows, rows[0]]),
        FOUND,
        "answers.jsonl, line 7: it is the row of no request",
    ),
    "rows change places": (
        lambda it: it.answers(lambda rows: rows[::-1]),
        FOUND,
        "answers.jsonl, line 1",
    ),
    "the outcomes are better": (
        lambda it: it.say(outcomes={"ok": 6}),
        FOUND,
        'it says {"ok":6} as outcomes',
    ),
    "the sums are better": (
        lambda it: it.say(answered=6, blocked=0),
        FOUND,
        "it says 6 as answered, where 5 was found",
    ),
    "it was cheaper": (
        lambda it: it.say(cost="0.01"),
        FOUND,
        'it says "0.01" as cost',
    ),
    "it has other requests": (
        lambda it: it.say(input_sha256="00" * 32),
        FOUND,
        "its requests are not those that its input_sha256 stands for",
    ),
    "it is another one": (lambda it: it.say(submission="0" * 20), FOUND, "as submission"),
    "it stopped": (
        lambda it: it.say(state="stopped"),
        FOUND,
        'it says "stopped" as state, where "completed" was found',
    ),
    "it stopped for a reason": (lambda it: it.say(state="stopped", reason="budget"), SIGNED, ""),
    "its policy was another one": (
        lambda it: it.say(policy=it.manifest["policy"] | {"rounds": 9}),
        SIGNED,
        "",
    ),
    "a batch is left out": (
        lambda it: it.say(batches=it.manifest["batches"][:-1]),
        FOUND,
        "it lacks batches/b3, which is part 3",
    ),
    "a batch is named twice": (
        lambda it: it.say(batches=[*it.manifest["batches"], it.manifest["batches"][0]]),
        FOUND,
        "it names two batches of one part",
    ),
    "a batch that nobody planned": (
        lambda it: it.say(
            batches=[*it.manifest["batches"], it.manifest["batches"][0] | {"part": 9}]
        ),
        FOUND,
        "it names batches/b1 as part 9, which nobody planned",
    ),
    "a batch takes the place of another": (
        lambda it: it.say(
            batches=[it.manifest["batches"][1] | {"part": 1}, *it.manifest["batches"][1:]]
        ),
        FOUND,
        "it names batches/b2 as part 1, which is batches/b1",
    ),
    "a batch is said to be lost": (
        lambda it: it.say(
            batches=[
                it.manifest["batches"][0] | {"manifest_sha256": None},
                *it.manifest["batches"][1:],
            ]
        ),
        FOUND,
        "though not every part is stored",
    ),
    "an answer of a batch is forged, and the digests fit": (
        forge_answer,
        FOUND,
        "b1/k1.json, line 1: its bytes are not those",
    ),
    "the manifest of a batch is replaced": (
        lambda it: it.edit("b2/_manifest.json", lambda data: data + b"\n"),
        FOUND,
        "b2/_manifest.json: its sha256 is",
    ),
    "the plan asked for another model": (
        lambda it: it.edit(
            f"{it.folder}/plan.json", lambda data: data.replace(MODEL.encode(), b"gemini-3.5-pro!!")
        ),
        FOUND,
        "plan.json: it is not the plan of this submission",
    ),
    "the plan has other parts": (
        lambda it: it.edit(
            f"{it.folder}/plan.json", lambda data: data.replace(b'"requests":3', b'"requests":2')
        ),
        FOUND,
        "the requests of part 1 are not those of its plan",
    ),
    "a round is not named": (
        lambda it: it.say(records=it.manifest["records"][:-1]),
        FOUND,
        "the records that it names are not the plan and its rounds",
    ),
    "a round is taken away": (
        lambda it: it.delete(f"{it.folder}/round.1.json"),
        FOUND,
        "it names batches/b3 as part 3, which nobody planned",
    ),
    "the last round is taken away": (
        lambda it: it.delete(f"{it.folder}/round.2.json"),
        FOUND,
        "though no last round found nothing to send",
    ),
    "requests are exchanged, whole": (
        lambda it: it.put(
            f"_requests/{json.loads(it.read(f'{it.folder}/plan.json'))['parts'][0]['sha256']}"
            ".jsonl.gz",
            gzip.compress(b"".join(request(key) for key in ("k1", "k2", "x3"))),
        ),
        FOUND,
        "the requests of part 1 are not those of its plan",
    ),
    "requests are deleted": (
        lambda it: it.delete("_requests", "b1/_input.jsonl.gz"),
        FOUND,
        "the requests of part 1 are lost",
    ),
    "the record of a batch is broken": (
        lambda it: it.put(f"{it.folder}/2.created.json", b"{}"),
        FOUND,
        "2.created.json is no record of a submission",
    ),
    "something else lies beside the proof": (
        lambda it: it.put(f"{it.folder}/extra.json", b"{}"),
        FOUND,
        "extra.json: it is no record of a submission",
    ),
    "the manifest is no manifest": (
        lambda it: it.put(f"{it.folder}/manifest.json", b'{"submission": 1}'),
        FOUND,
        "it is not in the form of a manifest",
    ),
    "the manifest is gone": (
        lambda it: it.delete(f"{it.folder}/manifest.json"),
        FOUND,
        "it is not there: the submission has not ended",
    ),
    "the answers are gone": (
        lambda it: it.delete(f"{it.folder}/answers.jsonl"),
        FOUND,
        "answers.jsonl: it is not there",
    ),
    "the signature is gone": (
        lambda it: it.delete(f"{it.folder}/manifest.{it.digest[:16]}.sig"),
        SIGNED,
        "",
    ),
    "a batch's index is exchanged, all digests made to fit": (
        exchange_index,
        FOUND,
        "b2/_manifest.json: it says 1 blocked, the index has 0",
    ),
}
