"""Stores a batch as the job does, without Gemini and without Redis."""

import gzip
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from receiver.gemini.operations import Batch
from receiver.outputs.manifest import Manifest, Source
from receiver.outputs.paths import Template, input_name, manifest_name
from receiver.outputs.prices import Prices, default_prices
from receiver.outputs.proof_keys import ProofKey
from receiver.settings.settings import read_settings
from receiver.storage import Storage
from workers.forms.forms import Forms
from workers.forms.writers import BatchFacts
from workers.job.split import Split
from workers.results.doubts import LineCounts
from workers.results.line_cost import cost_of_lines
from workers.results.result_counts import ResultCounts
from workers.store.batch_input import BatchInput
from workers.store.manifest import ManifestInputs, build_manifest, commit_manifest

PER_KEY = Template.parse("{batch}/{key}.json")
GROUPED = Template.parse("{batch}/{group}.jsonl", "(?P<group>[a-z]+)-.*")
PRICES = default_prices()
BATCH = Batch(
    name="batches/b1",
    state="SUCCEEDED",
    display_name=None,
    model="models/gemini-3.5-flash",
    created="2026-01-31T10:00:00Z",
    ended="2026-01-31T11:00:00Z",
    requests=None,
    result_file="files/batch-b1",
    inlined=None,
    error_code=None,
    error_message=None,
)


NO_SCRATCH = Path("/dev/null/scratch")  # no folder: who writes to it fails


def put_input(storage: Storage, lines: bytes, batch_id: str = "b1") -> None:
    storage.put_many([(input_name(batch_id), gzip.compress(lines, mtime=0))])


@dataclass(frozen=True)
class Stored:
    """A batch that was stored, and what was counted of its lines on the way."""

    manifest: Manifest
    line_counts: LineCounts


def store(storage: Storage, data: bytes, *args: Any, **options: Any) -> Manifest:
    """Store the results `data` of a batch, all at once; the rest as in `store_chunks`."""
    return store_chunks(storage, [data], *args, **options).manifest


def store_chunks(  # noqa: PLR0913 - what a batch may differ in
    storage: Storage,
    chunks: Iterable[bytes],
    requests: int | None,
    template: Template = PER_KEY,
    *,
    model: str | None = BATCH.model,
    metadata: dict[str, object] | None = None,
    proof_key: ProofKey | None = None,
    prices: Prices = PRICES,
    batch_id: str = "b1",
    **environ: str,
) -> Stored:
    """Store the results of `batches/<batch_id>`; its input counts when the storage holds it.

    `environ` holds settings such as OUTPUT_FORMS.
    """
    digest = hashlib.sha256()
    name = f"batches/{batch_id}"
    batch = replace(BATCH, name=name, requests=requests, model=model)
    about: dict[str, Any] = {
        "display_name": batch.display_name,
        "model": model,
        "created": batch.created,
        "metadata": metadata,
    }
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        counts = ResultCounts(scratch)
        settings = read_settings({"GEMINI_API_KEY": "k", **environ}, template=template)
        cost_of = cost_of_lines(prices, model, batch.ended)
        facts = BatchFacts(batch_id, model, batch.display_name, batch.created, cost_of)
        batch_input = BatchInput.fetch(
            storage, batch_id, scratch, lambda: None, settings.result_key
        )
        with (
            Forms(settings, facts, storage, lambda: None, scratch)
            if settings.forms
            else nullcontext() as forms,
            Split(
                batch_id,
                storage,
                template.bind(batch_id, **about),
                counts,
                lambda: None,
                scratch,
                forms,
                result_key=settings.result_key,
            ) as split,
        ):
            split.run(_digesting(chunks, digest))
            written = split.store(
                None
                if batch_input is None
                else lambda path: batch_input.write_retries(path, counts)
            )
        source = Source(
            "file",
            batch.result_file,
            split.size_bytes,
            counts.lines,
            counts.blank,
            digest.hexdigest(),
        )
        inputs = ManifestInputs(
            template, prices, batch_input, metadata=metadata, result_key=settings.result_key
        )
        manifest = build_manifest(batch, source, counts, written, inputs)
    commit_manifest(storage, manifest, proof_key, None)
    return Stored(manifest, split.line_counts)


def _digesting(chunks: Iterable[bytes], digest: Any) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def change_manifest(storage: Storage, **fields: Any) -> None:
    """Write fields of the stored manifest anew."""
    data = storage.read(manifest_name("b1"))
    assert data is not None
    storage.put_many([(manifest_name("b1"), json.dumps(json.loads(data) | fields).encode())])
