"""`batches errors`: which requests of a stored batch have no answer, and why."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import msgspec

from receiver.answers.index_rows import StoredRow
from receiver.answers.reasons import Reason
from receiver.cli.batch_lookup import complete_batch, find_batch
from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import print_table, printable, shorten
from receiver.cli.projects import project_option
from receiver.cli.stored import advise_next, load_stored
from receiver.outputs.error_codes import describe_code, name_code
from receiver.outputs.judgement import find_again, judge_manifest
from receiver.outputs.manifest import Manifest
from receiver.outputs.outcomes import Outcome
from receiver.outputs.wording import count_of, quote_key
from receiver.storage import Storage, open_storage
from receiver.submissions.batch_links import read_resubmitted
from workers.store.failures import read_failures, read_reason
from workers.store.retries import Retries, read_retries

SHOWN_MESSAGE = 120
SHOWN_KEY = 40
SHOWN_KEYS = 10  # that are worth sending again
TELLING_THEMSELVES = (Outcome.BLOCKED, Outcome.TRUNCATED, Outcome.EMPTY)
OWN_CODES = "each line has its own code"


class Kind(msgspec.Struct):
    """Results that failed in the same way."""

    outcome: str
    code: str | None  # None too where each result has its own, as blocked ones do
    name: str | None
    message: str | None  # of the first one
    count: int = 0


class Failed(msgspec.Struct, frozen=True):
    """One result that is no answer, as a program reads it."""

    line: int  # of the source, from 1
    key: str | None
    outcome: str
    code: str | None
    name: str | None  # of the code
    message: str | None
    object: str  # where the line lies, from the storage root


@dataclass
class Found:
    """What is shown of a batch."""

    kinds: dict[tuple[str, str | None], Kind] = field(default_factory=dict)
    rows: list[Failed] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(kind.count for kind in self.kinds.values())

    @property
    def ranked(self) -> list[Kind]:
        """The most frequent kind first."""
        return sorted(self.kinds.values(), key=lambda kind: -kind.count)


@command("errors", "abc", "evening --limit 100")
@click.argument("batch", shell_complete=complete_batch)
@click.option(
    "--limit",
    type=click.IntRange(0, 1_000_000),
    default=20,
    show_default=True,
    help="Show at most so many results; their counts are always of all.",
)
@project_option
@json_option("a JSON object")
def errors(batch: str, *, limit: int, label: str | None, as_json: bool) -> None:
    """Show which results of a stored batch failed, and why.

    First come the counts by outcome and error code, then each result with its key, code and
    message, in the order of Gemini's file. At the end are the number and the keys of what may
    succeed if it is sent again, and the command for that. Exit code 0, however many failed; 1 when
    the batch is not stored yet.
    """
    settings = load_settings()
    name = find_batch(settings, batch, label, ask_gemini="if unknown")
    storage = open_storage(settings.storage_url)
    manifest, _ = load_stored(settings, storage, name)
    with tempfile.TemporaryDirectory(prefix="gbr-", dir=settings.scratch_dir) as folder:
        found = _find(storage, manifest, Path(folder), limit)
        retries = read_retries(storage, manifest, Path(folder), SHOWN_KEYS)
    if as_json:
        click.echo(_encode(manifest, found))
    else:
        _print(manifest, found)
    judgement, followers = judge_manifest(manifest), read_resubmitted(storage, manifest.batch)
    if not followers and (found.count or manifest.missing):
        click.echo(_describe_retries(manifest, retries, judgement.unanswered), err=True)
    if (advice := advise_next(judgement, name, followers)) is not None:
        click.echo(advice, err=True)


def _find(storage: Storage, manifest: Manifest, scratch: Path, limit: int) -> Found:
    found = Found()
    for row, reason in read_failures(storage, manifest, scratch):
        code, message = (reason.code, reason.message) if reason else (None, None)
        kind = Kind(row.outcome, code, name_code(code), message)
        found.kinds.setdefault((row.outcome, code), kind).count += 1
        if len(found.rows) < limit:
            found.rows.append(_describe(row, reason or read_reason(storage, manifest, row)))
    return found


def _describe(row: StoredRow, reason: Reason) -> Failed:
    name = name_code(reason.code)
    return Failed(row.line, row.key, row.outcome, reason.code, name, reason.message, row.object)


def _encode(manifest: Manifest, found: Found) -> bytes:
    """JSON in ASCII, since keys may hold what UTF-8 can't."""
    error = manifest.error
    described = {
        "batch": manifest.batch,
        "state": manifest.state,
        "error": None
        if error is None
        else {**msgspec.to_builtins(error), "name": name_code(error.code)},
        "failed": found.count,
        "missing": manifest.missing,
        "missing_keys": manifest.missing_keys,
        "kinds": msgspec.to_builtins(found.ranked),
        "rows": msgspec.to_builtins(found.rows),
    }
    return json.dumps(described).encode()


def _print(manifest: Manifest, found: Found) -> None:
    if (error := manifest.error) is not None:
        words = f"{describe_code(error.code)}: {error.message or 'no message'}"
        click.echo(f"Gemini's error for the whole batch: {printable(words)}")
    if found.kinds:
        kinds = [
            (f"{kind.count:,}", kind.outcome, describe_code(kind.code), _message_of_kind(kind))
            for kind in found.ranked
        ]
        print_table(("count", "outcome", "code", "first message"), kinds, numbers=("count",))
    if found.rows:
        click.echo()
        rows = [
            (
                f"{row.line:,}",
                _shown_key(row),
                row.outcome,
                describe_code(row.code),
                _message(row),
            )
            for row in found.rows
        ]
        print_table(("line", "key", "outcome", "code", "message"), rows, numbers=("line",))
    for note in _notes(manifest, found):
        click.echo(note, err=True)


def _describe_retries(manifest: Manifest, retries: Retries, unanswered: int) -> str:
    """Which of the failed and missing requests may succeed if they are sent again."""
    again = find_again(manifest)
    if not again:
        return f"worth sending again: none of {unanswered:,}"
    keys = ", ".join(map(quote_key, retries.keys))
    more = ", …" if keys and retries.count > len(retries.keys) else ""
    named = f": {keys}{more}" if keys else ""
    if again == "whole":
        return f"worth sending again: {retries.count:,} of {unanswered:,}{named}"
    others = "and what has no result or no key, which only the input tells"
    return f"worth sending again: {retries.count:,} of {unanswered:,}{named}; {others}"


def _shown_key(row: Failed) -> str:
    """In JSON, since it may hold anything."""
    return "" if row.key is None else shorten(quote_key(row.key), SHOWN_KEY)


def _message(one: Kind | Failed) -> str:
    return shorten(one.message or "", SHOWN_MESSAGE)


def _message_of_kind(kind: Kind) -> str:
    return OWN_CODES if kind.outcome in TELLING_THEMSELVES else _message(kind)


def _notes(manifest: Manifest, found: Found) -> Iterator[str]:
    if found.count > len(found.rows):
        results = count_of(found.count, "result", "results")
        yield f"{len(found.rows):,} of {results} shown: raise --limit"
    if not found.count and not manifest.missing:
        yield f"no result of {manifest.batch} failed"
    if manifest.missing:
        keys = ", ".join(quote_key(key) for key in manifest.missing_keys[:3])
        named = f", such as {keys}" if keys else ""
        requests = count_of(manifest.missing, "request has", "requests have")
        yield f"{requests} no result at all{named}: see `batches show`"
