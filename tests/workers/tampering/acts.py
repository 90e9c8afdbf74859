"""Ways to spoil a stored batch that take more than one step."""

import json
import shutil
from collections.abc import Callable

from tests.workers.stored_batches import KEY, OTHER_KEY, Row, Stored, sha256, used

MORE = used("zz", "more") + b"\n"
INDEX, ERRORS, RETRY, INPUT = (
    "b1/_index.jsonl.gz",
    "b1/_errors.jsonl",
    "b1/_retry.jsonl",
    "b1/_input.jsonl.gz",
)


def in_turn(*acts: Callable[[Stored], object]) -> Callable[[Stored], None]:
    def spoil(stored: Stored) -> None:
        for act in acts:
            act(stored)

    return spoil


def flip(data: bytes) -> bytes:
    return data[:20] + bytes([data[20] ^ 1]) + data[21:]


def exchange(stored: Stored, one: str, two: str) -> None:
    first, second = stored.read(one), stored.read(two)
    stored.put(one, second)
    stored.put(two, first)


def without(line: int) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [row for row in rows if row["line"] != line]


def swap_keys(rows: list[Row]) -> list[Row]:
    rows[0]["key"], rows[1]["key"] = rows[1]["key"], rows[0]["key"]
    return rows


def swap_objects(stored: Stored) -> None:
    """Two answers change places, and the index says so."""
    exchange(stored, "b1/de-1.json", "b1/fr-1.json")
    places = ("object", "offset", "length", "sha256")

    def change(rows: list[Row]) -> list[Row]:
        for name in places[1:]:
            rows[0][name], rows[1][name] = rows[1][name], rows[0][name]
        return rows

    stored.index(change)


def rename(stored: Stored, one: str, two: str, line: int, **fields: object) -> None:
    stored.put(two, stored.read(one))
    stored.delete(one)
    stored.row(line, object=two, **fields)


def swap_lines(stored: Stored) -> None:
    """Two lines of a shared object change places in it."""
    rows = {row["line"]: row for row in stored.rows}
    lines = stored.read("b1/de.jsonl").split(b"\n")
    lines[0], lines[1] = lines[1], lines[0]
    stored.put("b1/de.jsonl", b"\n".join(lines))
    first, second = rows[1], rows[5]
    stored.row(1, offset=second["length"] + 1)
    stored.row(5, offset=0)
    assert first["object"] == second["object"] == "b1/de.jsonl"


def move_to_other_group(stored: Stored) -> None:
    """The French answer stands in the object of the German ones."""
    row = next(row for row in stored.rows if row["key"] == "fr-1")
    line = stored.read(row["object"])[row["offset"] :][: row["length"] + 1]
    offset = len(stored.read("b1/de.jsonl"))
    stored.edit("b1/de.jsonl", lambda data: data + line)
    stored.edit(row["object"], lambda data: data[len(line) :])

    def change(rows: list[Row]) -> list[Row]:
        for each in rows:
            if each["key"] == "fr-1":
                each |= {"object": "b1/de.jsonl", "offset": offset}
            elif each["object"] == row["object"]:
                each["offset"] -= len(line)
        return rows

    stored.index(change)


def same_key_twice(stored: Stored) -> None:
    """Line 5 becomes a second answer under the key of line 1, with all sums made to fit."""
    stored.delete("b1/de-3.json")
    data = used("de-1", "hellohello")
    stored.put("b1/de-3.json", data + b"\n")
    stored.row(5, key="de-1", length=len(data), sha256=sha256(data))
    stored.say(
        objects=sums(stored), source=stored.manifest["source"] | {"bytes": lines_size(stored)}
    )


def first_line_lost(stored: Stored) -> None:
    """Of a key with two lines, the first is called malformed: none is before the duplicate."""
    stored.row(1, outcome="blocked")
    stored.say(outcomes=stored.manifest["outcomes"] | {"ok": 1, "blocked": 1})


def sums(stored: Stored) -> Row:
    outputs = [row for row in stored.rows if row["object"] != ERRORS]
    return {
        "count": len({row["object"] for row in outputs}),
        "bytes": sum(row["length"] + 1 for row in outputs),
    }


def lines_size(stored: Stored) -> int:
    kept = sum(row["length"] + 1 for row in stored.rows if row["object"] != ERRORS)
    errors = [json.loads(line)["raw"] for line in stored.read(ERRORS).splitlines()]
    return int(kept + sum(len(raw.encode()) + 1 for raw in errors) - 1)


def forge_source(stored: Stored) -> None:
    """An answer changes, and everything that follows from it, the sha256 of the source included."""
    data = used("de-1", "another")
    stored.forge(1, data)
    lines = [json.loads(line)["raw"].encode() for line in stored.read(ERRORS).splitlines()]
    whole = []
    for row in stored.rows:
        if row["object"] == ERRORS:
            whole.append(lines.pop(0))
        else:
            whole.append(stored.read(row["object"])[:-1])
    stored.say(source=stored.manifest["source"] | {"sha256": sha256(b"\n".join(whole))})


def edit_errors(stored: Stored, change: Callable[[Row], Row]) -> None:
    """Change the first row of the errors, and its row of the index."""
    first, rest = stored.read(ERRORS).split(b"\n", 1)
    changed = json.dumps(change(json.loads(first)), separators=(",", ":")).encode()
    assert changed != first
    stored.put(ERRORS, changed + b"\n" + rest)
    more = len(changed) - len(first)

    def fit(rows: list[Row]) -> list[Row]:
        errors = [row for row in rows if row["object"] == ERRORS]
        errors[0] |= {"length": len(changed), "sha256": sha256(changed)}
        for row in errors[1:]:
            row["offset"] += more
        return rows

    stored.index(fit)


def drop_line(stored: Stored) -> None:
    """The last line, its row, its object and every sum of it are gone."""
    stored.delete("b1/fr-3.json")
    stored.index(without(10))
    manifest = stored.manifest
    outcomes = manifest["outcomes"] | {"ok": manifest["outcomes"]["ok"] - 1}
    source = manifest["source"] | {"lines": 9, "bytes": lines_size(stored)}
    stored.say(outcomes=outcomes, objects=sums(stored), source=source, requests=9)


def other_cost(**fields: str) -> Callable[[Stored], None]:
    return lambda stored: stored.say(cost=stored.manifest["cost"] | fields)


def part(field: str, **fields: object) -> Callable[[Stored], None]:
    return lambda stored: stored.say(**{field: stored.manifest[field] | fields})


def other_rules(stored: Stored) -> None:
    stored.row(6, outcome="ok")
    outcomes = stored.manifest["outcomes"]
    stored.say(outcomes=outcomes | {"ok": outcomes["ok"] + 1, "truncated": 0}, rules=1)


def resign(stored: Stored) -> None:
    """Another key signs the manifest as it is."""
    data = stored.read("b1/_manifest.json")
    stored.put(signature(stored), OTHER_KEY.sign(data))


def signature(stored: Stored) -> str:
    (name,) = (name for name in stored.storage.list_names("b1") if name.endswith(".sig"))
    return name


def sign_with_other_bytes(stored: Stored) -> None:
    stored.put(signature(stored), KEY.sign(b"something else"))


def older_state(stored: Stored) -> None:
    """Everything as it was: what may have come since is gone."""
    shutil.copytree(stored.storage.root / "b1", stored.storage.root / "kept")
    shutil.rmtree(stored.storage.root / "b1")
    (stored.storage.root / "kept").rename(stored.storage.root / "b1")
