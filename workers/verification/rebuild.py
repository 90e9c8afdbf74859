"""Makes a batch's records again from its stored lines, with the code that wrote them, and compares.

So nothing here says what a line means (key, outcome, tokens), nor what follows from all of them
(names, offsets, sums, what is missing, what to send again). Where other rules than today's judged a
batch, differences in outcomes are notes: they may be no fault.
"""

import hashlib
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec

from receiver.answers.index_rows import StoredRow
from receiver.gemini.operations import Batch
from receiver.outputs.manifest import Cost, Manifest, Naming, Priced, Record, Source
from receiver.outputs.paths import index_name, manifest_name, retry_name
from receiver.outputs.wording import count_of
from workers.job.split import Split
from workers.results.result_counts import ResultCounts
from workers.results.rules import RULES
from workers.store.batch_input import BatchInput
from workers.store.manifest import ManifestInputs, Written, build_manifest
from workers.store.records import file_sha256
from workers.verification.findings import VerifyOptions, VerifyReport
from workers.verification.form_rebuild import FormRebuild
from workers.verification.rebuild_sinks import CountingSink, NullStorage, RowChecks, shortened
from workers.verification.source_file import SourceFile

# Members of a manifest that follow from keys and outcomes, and those that follow from names, too.
COUNTED = ("source", "input", "requests", "outcomes", "missing", "balanced")
NAMED = ("unmatched", "objects")


class Rebuild:
    """One batch, whose stored bytes are proven to be those of its index."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that is known of a stored batch
        self,
        manifest: Manifest,
        naming: Naming,
        batch_input: BatchInput | None,
        options: VerifyOptions,
        scratch: Path,
        report: VerifyReport,
    ) -> None:
        self._manifest, self._naming, self._batch_input = manifest, naming, batch_input
        self._prices, self._scratch, self._report = options.prices, scratch / "rebuild", report
        self._scratch.mkdir()
        self._forms = FormRebuild(manifest, naming, options.response_schema, scratch, report)
        self._name = manifest_name(manifest.batch)
        self._counts = ResultCounts(self._scratch)

    def run(self, source: SourceFile | None, rows: Iterator[StoredRow]) -> None:
        """Compare everything; `source` is None for a batch without results."""
        manifest, names = self._manifest, self._naming.unknown is None
        same_rules = manifest.rules == RULES
        compared = RowChecks(
            rows, self._report, index_name(manifest.batch), names=names, same_rules=same_rules
        )
        made, written = self._make_again(source, compared)
        expected = build_manifest(
            _batch_of(manifest),
            made,
            self._counts,
            written,
            ManifestInputs(self._naming.template, self._prices, self._batch_input),
        )
        if compared.judged_otherwise:
            words = count_of(compared.judged_otherwise, "line is", "lines are")
            words += " judged otherwise by today's rules"
            self._report.note(
                f"what the outcomes of the lines add up to: {words}, {compared.first}"
            )
            self._compare(("source",), expected)
            return
        self._forms.compare()
        self._compare((*COUNTED, *(NAMED if names else ())), expected)
        self._compare_missing(expected)
        self._compare(("usage", "retry", "oversize"), expected, may_differ=not same_rules)
        if manifest.usage == expected.usage:
            self._compare_cost(expected)

    def _make_again(self, source: SourceFile | None, compared: RowChecks) -> tuple[Source, Written]:
        said = self._manifest.source
        if source is None:
            return Source("none"), Written(retry=self._retry_without_results())
        digest = hashlib.sha256()

        def chunks() -> Iterator[bytes]:
            for chunk in source.chunks():
                digest.update(chunk)
                yield chunk

        namer = self._naming.bind(self._manifest)
        sink = CountingSink(groups=namer.groups)
        counts, folder = self._counts, self._scratch
        with (
            self._forms.open(folder) as forms,
            Split(
                self._manifest.batch,
                NullStorage(),
                namer,
                counts,
                lambda: None,
                folder,
                forms,
                sink=sink,
                index=compared,
                result_key=self._manifest.result_key or "",
            ) as split,
        ):
            split.run(chunks())
            written = split.store(self._complete_retries)
        size, sha256 = split.size_bytes, digest.hexdigest()
        if said.blank and (size, sha256) != (said.bytes, said.sha256):
            words = "its blank lines are not stored, and may hold white space"
            self._report.note(f"the sha256 of the source: {words}")
            size, sha256 = said.bytes, said.sha256 or ""

        # Why it was doubted depends on what Gemini said, which only the manifest has.
        lines, blank = self._counts.lines, self._counts.blank
        return Source(said.kind, said.name, size, lines, blank, sha256, said.doubted), written

    def _complete_retries(self, path: Path) -> None:
        if self._batch_input is not None:
            self._batch_input.write_retries(path, self._counts)

    def _retry_without_results(self) -> Record | None:
        if self._batch_input is None:
            return None
        path = self._scratch / "retry"
        path.touch()
        self._complete_retries(path)
        return Record(retry_name(self._manifest.batch), file_sha256(path))

    def _compare(
        self, fields: Sequence[str], expected: Manifest, *, may_differ: bool = False
    ) -> None:
        for name in fields:
            said, made = getattr(self._manifest, name), getattr(expected, name)
            if said == made or (
                name == "retry" and said is None and self._manifest.index is not None
            ):
                continue
            said, made = (shortened(msgspec.to_builtins(value)) for value in (said, made))
            words = f"it says {name} {said}, the lines give {made}"
            if may_differ:
                self._report.note(f"{name}: other rules judged the lines; {words}")
            else:
                self._report.find(self._name, words)

    def _compare_missing(self, expected: Manifest) -> None:
        said, made = self._manifest.missing_keys, expected.missing_keys
        if said != made:
            words = f"it names {len(said)} missing keys, input and index leave {len(made)}"
            self._report.find(self._name, f"{words}, and they are not the same")

    def _compare_cost(self, expected: Manifest) -> None:
        said, made = self._manifest.cost, expected.cost
        if isinstance(said, Cost) and not _adds_up(said):
            words = f"the parts of its cost are not {said.amount} together"
            self._report.find(self._name, words)
        elif said == made:
            self._compare_priced(expected)
        elif isinstance(said, Cost) and said.prices == self._prices.date:
            self._compare(("cost",), expected)
        else:
            day = said.prices if isinstance(said, Cost) else "another day"
            words = f"it may come from a price list of {day}, the one here is of"
            self._report.note(f"the cost: {words} {self._prices.date}")

    def _compare_priced(self, expected: Manifest) -> None:
        """It depends on the price list, whose day an unknown cost does not give.

        Older versions did not write it.
        """
        said, made = self._manifest.priced, expected.priced
        if isinstance(said, Priced) and said != made:
            words = f"it says {said}, the price list here gives {made}"
            self._report.note(f"how much of the unknown cost is priced: {words}")


def _batch_of(manifest: Manifest) -> Batch:
    """What Gemini said of a batch, as far as its manifest repeats it."""
    error = manifest.error
    return Batch(
        name=manifest.batch,
        state=manifest.state,
        display_name=manifest.display_name,
        model=manifest.model,
        created=manifest.created,
        ended=manifest.ended,
        requests=manifest.requests,
        result_file=None,
        inlined=None,
        error_code=error.code if error else None,
        error_message=error.message if error else None,
    )


def _adds_up(cost: Cost) -> bool:
    try:
        parts = [Decimal(part) for part in (cost.input, cost.cached, cost.output)]
        return Decimal(cost.amount) == sum(parts)
    except InvalidOperation:
        return False
