"""Stores the results of a part that was sent one by one, as those of a batch are stored."""

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from receiver.errors import AlreadyStoredError, StorageError
from receiver.gemini.models import full_model_name
from receiver.gemini.operations import Batch
from receiver.outputs.manifest import Source, choose_capitals
from receiver.outputs.paths import input_name
from receiver.submissions.batch_links import BatchOrigin, origin_name
from receiver.submissions.flex_records import FlexRecords
from receiver.submissions.part_copy import PartCopy
from receiver.submissions.submission import Part, Submission
from workers.forms.forms import Forms
from workers.forms.writers import BatchFacts
from workers.job.split import Split
from workers.results.line_cost import cost_of_lines
from workers.results.result_counts import ResultCounts
from workers.store.batch_input import BatchInput
from workers.store.manifest import ManifestInputs, build_manifest, commit_manifest
from workers.submissions.context import AdvanceContext


@dataclass(frozen=True)
class FlexBatch:
    """What stands for a batch where there is none at Gemini."""

    submission: Submission
    part: Part
    begun_at: float  # Unix time in seconds

    @property
    def name(self) -> str:
        return f"batches/flex-{self.submission.id}-{self.part.number}"

    def describe(self, ended_at: float | None) -> Batch:
        """As Gemini would describe it; the same for every attempt."""
        return Batch(
            name=self.name,
            state="SUCCEEDED",
            display_name=self.submission.name_of(self.part),
            model=full_model_name(self.submission.spec.model),
            created=_utc_text(self.begun_at),
            ended=None if ended_at is None else _utc_text(ended_at),
            requests=self.part.requests,
            result_file=None,
            inlined=None,
            error_code=None,
            error_message=None,
        )


class _Results:
    """The result lines in the order of the requests. Iterate `chunks` once."""

    def __init__(self, records: FlexRecords, requests: int) -> None:
        self._records, self._requests = records, requests
        self._digest = hashlib.sha256()
        self.ended_at = 0.0  # Unix time in seconds, of the last answer

    @property
    def sha256(self) -> str:
        """Hex, of the bytes given so far."""
        return self._digest.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        for number in range(1, self._requests + 1):
            answer = self._records.read_answer(number)
            self.ended_at = max(self.ended_at, answer.at)
            line = bytes(answer.line) + b"\n"
            self._digest.update(line)
            yield line


class FlexStore:
    """Stores one such part; each of its requests must have its line."""

    def __init__(self, context: AdvanceContext, flex: FlexBatch, scratch: Path) -> None:
        """`scratch` is a folder."""
        self._context, self._flex, self._scratch = context, flex, scratch
        capitals = choose_capitals(None, tells_case_apart=context.storage.tells_case_apart())
        template = replace(context.settings.template, capitals=capitals)
        self._settings = replace(context.settings, template=template)
        self._counts = ResultCounts(scratch)

    def store(self, records: FlexRecords, requests: PartCopy) -> None:
        """Write the input, the outputs and the records, the manifest last."""
        context, counts = self._context, self._counts
        context.check()
        self._store_input(requests)
        batch_input = self._fetch_input()

        results = _Results(records, self._flex.part.requests)
        with self._open_forms() as forms, self._open_split(forms) as split:
            split.run(results.chunks())
            written = split.store(lambda path: batch_input.write_retries(path, counts))
            size_bytes = split.size_bytes

        source = Source("inline", None, size_bytes, counts.lines, counts.blank, results.sha256)
        batch = self._flex.describe(results.ended_at)
        manifest = build_manifest(batch, source, counts, written, self._inputs(batch_input))
        context.check()
        with suppress(AlreadyStoredError):
            commit_manifest(context.storage, manifest, self._settings.proof_key, None)

    def _store_input(self, requests: PartCopy) -> None:
        storage, submission = self._context.storage, self._flex.submission
        part, parts = self._flex.part.number, len(submission.parts)
        origin = BatchOrigin(submission.id, part, parts, submission.spec.retry_of)
        if not storage.exists(input_name(self._flex.name)):
            storage.put_files([(input_name(self._flex.name), requests.path)])
        storage.put_many([(origin_name(self._flex.name), msgspec.json.encode(origin))])

    def _fetch_input(self) -> BatchInput:
        context, name = self._context, self._flex.name
        found = BatchInput.fetch(
            context.storage, name, self._scratch, context.check, self._settings.result_key
        )
        if found is None:
            raise StorageError(f"{input_name(name)} is gone", retryable=True)
        return found

    def _open_forms(self) -> AbstractContextManager[Forms | None]:
        if not self._settings.forms:
            return nullcontext()
        context, batch = self._context, self._flex.describe(None)
        day = _utc_text(self._flex.begun_at)  # when it ends is not known yet
        cost_of = cost_of_lines(self._settings.prices, batch.model, day)
        facts = BatchFacts(batch.name, batch.model, batch.display_name, batch.created, cost_of)
        return Forms(self._settings, facts, context.storage, context.check, self._scratch)

    def _open_split(self, forms: Forms | None) -> Split:
        batch = self._flex.describe(None)
        namer = self._settings.template.bind(
            batch.name,
            display_name=batch.display_name,
            model=batch.model,
            created=batch.created,
            metadata=self._flex.submission.spec.metadata,
        )
        return Split(
            batch.name,
            self._context.storage,
            namer,
            self._counts,
            self._context.check,
            self._scratch,
            forms,
            result_key=self._settings.result_key,
        )

    def _inputs(self, batch_input: BatchInput) -> ManifestInputs:
        return ManifestInputs(
            self._settings.template,
            self._settings.prices,
            batch_input,
            project=self._context.project.name,
            metadata=self._flex.submission.spec.metadata,
            result_key=self._settings.result_key,
        )


def _utc_text(at: float) -> str:
    """RFC 3339 in microseconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
