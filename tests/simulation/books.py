"""Whether the books balance at the end of a seed, by what Gemini gives and what was submitted.

The records are read as their documentation describes them, with no code of the product.
"""

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from receiver.inbox.redis import BURIED, ENTRY
from tests.simulation.orders import Ordered
from tests.simulation.world import World

Manifest = dict[str, Any]


def find_problems(world: World) -> list[str]:
    """What does not balance; empty where all is well."""
    batches = world.gemini.batches()
    problems = [*world.network.problems, *world.problems]
    problems += [f"crashed: {error}" for error in world.scheduler.errors]
    for batch in batches:
        problems += [f"{batch['name']}: {one}" for one in _check_batch(world, batch)]
    for order in world.orders:
        problems += _check_order(world, order, batches)
    problems += _check_submissions(world)
    problems += _check_strays(world, batches)
    return [*problems, *_check_notices(world, batches), *_check_inbox(world, batches)]


def folder_of(batch: str) -> str:
    return batch.removeprefix("batches/")


def _check_batch(world: World, batch: dict[str, Any]) -> Iterator[str]:
    """The manifest against what Gemini gives."""
    data = world.storage.objects.get(f"{folder_of(batch['name'])}/_manifest.json")
    if data is None:
        yield "it has no manifest"
        return
    manifest = json.loads(data)
    if manifest["state"] != batch["state"]:
        yield f"its manifest says {manifest['state']}, Gemini {batch['state']}"
    if manifest["batch"] != batch["name"] or manifest["requests"] != batch["request_count"]:
        yield f"its manifest counts {manifest['requests']} requests of {manifest['batch']}"
    results = world.gemini.result_lines(batch["name"])
    if results is None:
        if manifest["source"]["kind"] != "none":
            yield f"Gemini gives no results, its manifest has {manifest['source']}"
    else:
        yield from _check_source(manifest, *results)
        yield from _check_index(world, manifest, results[1])
    yield from _check_missing(world, manifest, results[1] if results else [])


def _check_source(manifest: Manifest, body: bytes, lines: list[bytes]) -> Iterator[str]:
    source = manifest["source"]
    truth = (len(body), len(lines), hashlib.sha256(body).hexdigest())
    if (source["bytes"], source["lines"], source["sha256"]) != truth:
        yield f"its source is {source}, Gemini gives {truth}"


def key_of(line: bytes) -> str | None:
    row = json.loads(line)
    key: str | None = row.get("key", row.get("metadata", {}).get("key"))
    return key


def _check_index(world: World, manifest: Manifest, lines: list[bytes]) -> Iterator[str]:
    """Every line of the results has its row, its outcome, and its bytes in the storage."""
    objects = world.storage.objects
    record, packed = manifest["index"], objects.get(manifest["index"]["name"], b"")
    if hashlib.sha256(packed).hexdigest() != record["sha256"]:
        yield "its index is not the one that its manifest names"
        return
    rows = [json.loads(row) for row in gzip.decompress(packed).splitlines()]
    if [row["line"] for row in rows] != list(range(1, len(lines) + 1)):
        yield f"its index has the lines {[row['line'] for row in rows]} of {len(lines)}"
        return
    seen = set[str]()
    for row, line in zip(rows, lines, strict=True):
        yield from _check_row(objects, row, line, seen)
    counted = Counter(row["outcome"] for row in rows)
    if {name: count for name, count in manifest["outcomes"].items() if count} != dict(counted):
        yield f"its outcomes are {manifest['outcomes']}, its index has {dict(counted)}"
    outputs = {row["object"] for row in rows if not row["object"].endswith("/_errors.jsonl")}
    sizes = sum(len(objects.get(name, b"")) for name in outputs)
    if (len(outputs), sizes) != (manifest["objects"]["count"], manifest["objects"]["bytes"]):
        yield f"its objects are {manifest['objects']}, there are {len(outputs)} of {sizes} bytes"


def _check_row(
    objects: dict[str, bytes], row: dict[str, Any], line: bytes, seen: set[str]
) -> Iterator[str]:
    key, number = key_of(line), row["line"]
    expected = _outcome_of(json.loads(line), is_repeated=key in seen)
    if key is not None:
        seen.add(key)
    if (row["key"], row["outcome"]) != (key, expected):
        yield f"line {number} is {row['outcome']} of {row['key']!r}, not {expected} of {key!r}"
    stored = objects.get(row["object"], b"")[row["offset"] : row["offset"] + row["length"]]
    if hashlib.sha256(stored).hexdigest() != row["sha256"]:
        yield f"the bytes of line {number} are not in {row['object']}"
    elif row["object"].endswith("/_errors.jsonl"):
        if json.loads(stored)["raw"].encode() != line:
            yield f"line {number} is another one in {row['object']}"
    elif stored != line:
        yield f"line {number} is another one in {row['object']}"


def _outcome_of(row: dict[str, Any], *, is_repeated: bool) -> str:
    """By Gemini's documentation, for what the sandbox gives."""
    if is_repeated:
        return "duplicate"
    if "key" not in row and "key" not in row.get("metadata", {}):
        return "unkeyed"
    if "error" in row:
        return "error"
    answer = row["response"]
    if "promptFeedback" in answer and "blockReason" in answer["promptFeedback"]:
        return "blocked"
    (candidate,) = answer["candidates"]
    reason = candidate.get("finishReason")
    if reason != "STOP":
        return "truncated" if reason == "MAX_TOKENS" else "blocked"
    parts = candidate.get("content", {}).get("parts", [])
    return "ok" if any(part.get("text") or "text" not in part for part in parts) else "empty"


def _check_missing(world: World, manifest: Manifest, lines: list[bytes]) -> Iterator[str]:
    """Requests and results balance by key."""
    packed = world.storage.objects.get(f"{folder_of(manifest['batch'])}/_input.jsonl.gz")
    if packed is None:
        yield "its input is not kept"
        return
    asked = [json.loads(line)["key"] for line in gzip.decompress(packed).splitlines()]
    answered = {key_of(line) for line in lines}
    missing = [key for key in asked if key not in answered]
    if manifest["input"] is None:
        yield "its manifest does not know its input"
    elif manifest["missing_keys"] != missing and None not in answered:
        yield f"its manifest misses {manifest['missing_keys']}, not {missing}"


def _check_order(world: World, order: Ordered, batches: list[dict[str, Any]]) -> Iterator[str]:
    """Every request was sent once, in one batch, and is in that batch's input."""
    sent = Counter[str]()
    for batch in batches:
        packed = world.storage.objects.get(f"{folder_of(batch['name'])}/_input.jsonl.gz", None)
        lines = gzip.decompress(packed).splitlines() if packed else []
        sent.update(json.loads(line)["key"] for line in lines)
    wrong = {key: sent[key] for key in order.keys if sent[key] != 1}
    if wrong:
        yield f"{order.file.name}: requests that were not sent once: {wrong}"
    paid = sum(batch["request_count"] for batch in batches)
    if order is world.orders[0] and paid != sum(len(one.keys) for one in world.orders):
        names = [(batch["display_name"], batch["request_count"]) for batch in batches]
        yield f"Gemini was paid for {paid} requests: {names}"


def _check_submissions(world: World) -> Iterator[str]:
    """Every one that was planned has its proof, which counts each request once."""
    objects = world.storage.objects
    for name in objects:
        if not name.endswith("/plan.json"):
            continue
        folder = name.removesuffix("/plan.json")
        data, answers = (
            objects.get(f"{folder}/manifest.json"),
            objects.get(f"{folder}/answers.jsonl"),
        )
        if data is None or answers is None:
            yield f"{folder} has no proof"
            continue
        manifest = json.loads(data)
        fates = [manifest[fate] for fate in ("answered", "blocked", "failed", "missing")]
        if sum(fates) != manifest["requests"] or len(answers.splitlines()) != sum(fates):
            yield f"{folder} counts {fates} of {manifest['requests']} requests"
        told = {one.id for one in world.notices if one.data.get("submission") == folder[-20:]}
        if len(told) > 1 or (not told and world.wiped_ns is None):
            yield f"{folder} has {len(told)} notices"


def _check_strays(world: World, batches: list[dict[str, Any]]) -> Iterator[str]:
    """No object is there that no manifest and no submission accounts for."""
    known = {"_manifest.json", "_index.jsonl.gz", "_errors.jsonl", "_retry.jsonl"}
    known |= {"_input.jsonl.gz", "_submission.json"}
    named = {f"{folder_of(batch['name'])}/{name}" for batch in batches for name in known}
    for batch in batches:
        packed = world.storage.objects.get(f"{folder_of(batch['name'])}/_index.jsonl.gz")
        rows = gzip.decompress(packed).splitlines() if packed else []
        named |= {json.loads(row)["object"] for row in rows}
    for name in world.storage.objects:
        if name.endswith(".awaited"):
            yield f"{name} is left"
        elif name not in named and not name.startswith(("_submissions/", "_requests/")):
            yield f"{name} belongs to nothing"


def _check_notices(world: World, batches: list[dict[str, Any]]) -> Iterator[str]:
    """One notice for each batch; it may come again under its id."""
    for batch in batches:
        told = [one for one in world.notices if one.batch == batch["name"]]
        ended = [one for one in told if one.type.startswith("results.")]
        if len({one.id for one in ended}) > 1:
            yield f"{batch['name']} has notices of several ids"
        if not ended and world.wiped_ns is None:
            yield f"nobody was told of {batch['name']}"
        data = world.storage.objects.get(f"{folder_of(batch['name'])}/_manifest.json", b"{}")
        outcomes = json.loads(data).get("outcomes")
        if any(one.data["outcomes"] != outcomes for one in ended):
            yield f"the notice of {batch['name']} says something else than its manifest"


def _check_inbox(world: World, batches: list[dict[str, Any]]) -> Iterator[str]:
    """Nothing is open, leased or buried."""
    if buried := world.wire.ask("ZRANGE", BURIED, 0, -1):
        causes = [world.wire.ask("HGET", ENTRY + name.decode(), "cause") for name in buried]
        yield f"buried: {list(zip(buried, causes, strict=True))}"
    for batch in batches:
        state = world.wire.ask("HGET", ENTRY + batch["name"], "state")
        if state not in (b"done", None) or (state is None and world.wiped_ns is None):
            yield f"{batch['name']} is {state} in the inbox"
