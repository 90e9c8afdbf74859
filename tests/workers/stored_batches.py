"""Signed stored batches of every kind, and what somebody can do who may write to the storage."""

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from receiver.outputs.paths import Template
from receiver.outputs.proof_keys import ProofKey
from receiver.storage import LocalStorage
from tests import nasty
from tests.programs import require_module
from tests.workers.forms import reading
from tests.workers.storing import GROUPED, put_input, store
from workers.results.lines import MAX_LINE_BYTES

KEY = ProofKey(bytes(range(32)))
OTHER_KEY = ProofKey(bytes(range(1, 33)))
Row = dict[str, Any]


def used(key: str, *parts: object, prompt: int = 7, reason: str = "STOP") -> bytes:
    """An answer with tokens."""
    row = json.loads(reading.line(key, *(parts or ("hello",)), reason=reason))
    row["response"]["usageMetadata"] = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": 3,
        "totalTokenCount": 10,
    }
    return json.dumps(row).encode()


LINES = (
    used("de-1"),
    used("fr-1"),
    nasty.failure("de-2", 8),
    nasty.failure("fr-2", 3),
    used("de-3"),
    used("de-cut", reason="MAX_TOKENS"),
    nasty.empty("de-none"),
    nasty.UNKEYED,
    b'{"key": "broken',
    used("fr-3"),
)
DATA = b"\n".join(LINES)
ASKED = b"".join(
    b'{"key":"%s","request":{"contents":[]}}\n' % key
    for key in (
        b"de-1",
        b"fr-1",
        b"de-2",
        b"fr-2",
        b"de-3",
        b"de-cut",
        b"de-none",
        b"fr-3",
        b"lost",
        b"gone",
    )
)
ANSWERS = b"\n".join(
    (
        used("de-1", "hello", reading.inline(b"picture")),
        used("fr-1", '{"a": 1}'),
        used("de-2", "no json"),
    )
)
SCHEMA = '{"type": "object", "required": ["a"]}'
FORMS = "text,json,media,thoughts"


def _plain(storage: LocalStorage) -> None:
    store(storage, DATA, 10, proof_key=KEY)


def _grouped(storage: LocalStorage) -> None:
    store(storage, DATA, 10, GROUPED, proof_key=KEY)


def _input(storage: LocalStorage) -> None:
    put_input(storage, ASKED)
    store(
        storage,
        b"\n".join(line for line in LINES if line not in {nasty.UNKEYED, LINES[8]}),
        10,
        proof_key=KEY,
    )


def _dated(storage: LocalStorage) -> None:
    store(storage, DATA, 10, Template.parse("{date}/{batch}/{key}.json"), proof_key=KEY)


def _shared(storage: LocalStorage) -> None:
    store(
        storage,
        DATA,
        10,
        Template.parse("{lang}/{batch}.jsonl", "(?P<lang>[a-z]+)-.*"),
        proof_key=KEY,
    )


def _by_team(storage: LocalStorage) -> None:
    template = Template.parse("{batch}/{meta.team}/{lang}/{key}.json", "(?P<lang>de)-.*")
    store(storage, DATA, 10, template, metadata={"team": "red"}, proof_key=KEY)


def _forms(storage: LocalStorage) -> None:
    store(storage, ANSWERS, 3, OUTPUT_FORMS=FORMS, proof_key=KEY)


def _schema(storage: LocalStorage) -> None:
    store(storage, ANSWERS, 3, OUTPUT_FORMS=FORMS, RESPONSE_SCHEMA=SCHEMA, proof_key=KEY)


def _grouped_forms(storage: LocalStorage) -> None:
    store(storage, ANSWERS, 3, GROUPED, OUTPUT_FORMS=FORMS, proof_key=KEY)


def _table(storage: LocalStorage) -> None:
    require_module("pyarrow")
    store(storage, ANSWERS, 3, OUTPUT_FORMS="table", proof_key=KEY)


def _oversize(storage: LocalStorage) -> None:
    store(storage, used("de-1") + b"\n" + b"x" * (MAX_LINE_BYTES + 1), 2, proof_key=KEY)


def _blank(storage: LocalStorage) -> None:
    store(storage, b"\n\n" + DATA + b"\n \t\n", 10, proof_key=KEY)


def _nothing(storage: LocalStorage) -> None:
    store(storage, b"", 0, proof_key=KEY)


def _twice(storage: LocalStorage) -> None:
    store(
        storage, b"\n".join((used("de-1"), used("de-1", "again"), used("fr-1"))), 2, proof_key=KEY
    )


KINDS: dict[str, Callable[[LocalStorage], None]] = {
    "plain": _plain,
    "grouped": _grouped,
    "input": _input,
    "dated": _dated,
    "shared": _shared,
    "by team": _by_team,
    "forms": _forms,
    "schema": _schema,
    "grouped forms": _grouped_forms,
    "table": _table,
    "oversize": _oversize,
    "blank": _blank,
    "nothing": _nothing,
    "twice": _twice,
}


@cache
def _made(kind: str, folder: Path) -> Path:
    root = folder / kind.replace(" ", "-")
    KINDS[kind](LocalStorage(root))
    return root


@dataclass
class Stored:
    """A copy of a stored batch, `b1`, to spoil."""

    storage: LocalStorage

    @classmethod
    def copy(cls, kind: str, originals: Path, folder: Path) -> "Stored":
        shutil.copytree(_made(kind, originals), folder / "outputs")
        return cls(LocalStorage(folder / "outputs"))

    def read(self, name: str) -> bytes:
        data = self.storage.read(name)
        assert data is not None, name
        return data

    def put(self, name: str, data: bytes) -> None:
        self.storage.put_many([(name, data)])

    def edit(self, name: str, change: Callable[[bytes], bytes]) -> None:
        data = self.read(name)
        changed = change(data)
        assert changed != data
        self.put(name, changed)

    def delete(self, name: str) -> None:
        assert self.storage.exists(name), name
        self.storage.delete(name)

    @property
    def manifest(self) -> Row:
        found: Row = json.loads(self.read("b1/_manifest.json"))
        return found

    def say(self, **fields: Any) -> None:
        """Change fields of the manifest, which is signed no more."""
        assert any(self.manifest.get(name) != value for name, value in fields.items())
        self.put("b1/_manifest.json", json.dumps(self.manifest | fields, indent=2).encode())

    def leave_out(self, *fields: str) -> None:
        left = {name: value for name, value in self.manifest.items() if name not in fields}
        self.put("b1/_manifest.json", json.dumps(left, indent=2).encode())

    @property
    def rows(self) -> list[Row]:
        return [
            json.loads(line)
            for line in gzip.decompress(self.read("b1/_index.jsonl.gz")).splitlines()
        ]

    def index(self, change: Callable[[list[Row]], list[Row]]) -> None:
        """Write the index anew, and its sha256 in the manifest, as one does to cover tracks."""
        before = self.rows
        after = change([dict(row) for row in before])
        assert after != before
        data = gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in after))
        self.put("b1/_index.jsonl.gz", data)
        self.say(index={"name": "b1/_index.jsonl.gz", "sha256": sha256(data)})

    def row(self, number: int, **fields: Any) -> None:
        self.index(lambda rows: [row | fields if row["line"] == number else row for row in rows])

    def record(self, field: str, change: Callable[[bytes], bytes]) -> None:
        """Change a record and the manifest's sha256 of it."""
        name = self.manifest[field]["name"]
        self.edit(name, change)
        self.say(**{field: self.manifest[field] | {"sha256": sha256(self.read(name))}})

    def forge(self, line: int, data: bytes) -> None:
        """Replace a line, with its row and all sums of bytes; the sha256 of the source stays."""
        row = self.rows[line - 1]
        more = len(data) - row["length"]
        self.put(row["object"], data + b"\n")
        self.row(line, length=len(data), sha256=sha256(data))
        if not more:
            return
        manifest = self.manifest
        objects, source = manifest["objects"], manifest["source"]
        self.say(
            objects=objects | {"bytes": objects["bytes"] + more},
            source=source | {"bytes": source["bytes"] + more},
        )

    def form(self, name: str, data: bytes) -> None:
        """Replace a form, with its row in their index, and the sha256 of that in the manifest."""
        path = "b1/_forms.jsonl.gz"
        rows = [json.loads(line) for line in gzip.decompress(self.read(path)).splitlines()]
        more = len(data) - len(self.read(name))
        self.put(name, data)
        for row in rows:
            if row["object"] == name:
                row |= {"bytes": len(data), "sha256": sha256(data)}
        index = gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
        self.put(path, index)
        forms = self.manifest["forms"]
        index_record = forms["index"] | {"sha256": sha256(index)}
        self.say(forms=forms | {"index": index_record, "bytes": forms["bytes"] + more})


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
