"""`batches show`: what became of every request of a stored batch."""

from collections.abc import Sequence

import click

from receiver.batch_names import BatchName
from receiver.cli.batch_lookup import complete_batch, find_batch
from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable
from receiver.cli.stored import advise_next, load_stored, locate_answers
from receiver.outputs.error_codes import describe_code
from receiver.outputs.judgement import Judgement, judge_manifest
from receiver.outputs.manifest import Cost, FormsRecord, Manifest, Priced, Source
from receiver.outputs.paths import batch_folder
from receiver.outputs.wording import quote_key
from receiver.settings.locations import describe_storage
from receiver.storage import open_storage
from receiver.storage.replaced import find_replaced
from receiver.submissions.batch_links import read_resubmitted

SHOWN_KEYS = 10


@command("show", "abc", "evening")
@click.argument("batch", shell_complete=complete_batch)
@json_option("the manifest itself")
@click.pass_context
def show(ctx: click.Context, batch: str, *, as_json: bool) -> None:
    """Show what became of the requests of a stored batch.

    Exit code 0 when every request is answered; otherwise 1, with the reason and what to do next.
    """
    settings = load_settings()
    name = find_batch(settings, batch, ask_gemini="if unknown")
    storage = open_storage(settings.storage_url)
    manifest, data = load_stored(settings, storage, name)
    judgement = judge_manifest(manifest)
    replaced = find_replaced(storage, manifest.batch, data)
    if as_json:
        click.echo(data, nl=False)
    else:
        folder = describe_storage(settings.storage_url, batch_folder(name))
        answers = locate_answers(settings, manifest.template, name)
        last = [("folder", folder), ("answers", answers), ("judgement", judgement.text)]
        for label, text in [*_table(manifest), *last]:
            click.echo(f"{label:<10}{printable(text)}")
        if sum(manifest.outcomes.values()) > judgement.answered:
            command = f"gemini-batch-receiver batches errors {BatchName.read(name).short}"
            click.echo(f"{'reasons':<10}`{command}` shows what failed, and why")
        if replaced:
            click.echo(f"{'replaces':<10}{printable(', '.join(replaced))}")
    if not judgement.is_well:
        _explain(judgement, name, read_resubmitted(storage, manifest.batch))
        ctx.exit(1)


def _explain(judgement: Judgement, name: str, followers: Sequence[str]) -> None:
    """Why the batch is not well, and what to do about it."""
    for reason in judgement.problems:
        click.echo(printable(reason), err=True)
    if (advice := advise_next(judgement, name, followers)) is not None:
        click.echo(advice, err=True)


def _table(manifest: Manifest) -> list[tuple[str, str]]:
    """Labels and texts, for people."""
    outcomes = {name: count for name, count in manifest.outcomes.items() if count}
    usage = {name: count for name, count in manifest.usage.items() if isinstance(count, int)}
    objects, error = manifest.objects, manifest.error
    rows = [
        ("batch", manifest.batch),
        ("project", manifest.project if isinstance(manifest.project, str) else None),
        ("state", manifest.state),
        ("name", manifest.display_name),
        ("model", manifest.model),
        ("created", manifest.created),
        ("ended", manifest.ended),
        ("requests", _number(manifest.requests)),
        ("outcomes", _counts(outcomes) or "none"),
        ("unmatched", _number(manifest.unmatched) if isinstance(manifest.unmatched, int) else None),
        ("missing", _missing(manifest)),
        ("balanced", {True: "yes", False: "NO", None: "unknown"}[manifest.balanced]),
        ("source", _source(manifest.source)),
        ("objects", f"{_number(objects.count)}, {_number(objects.bytes)} bytes"),
        ("forms", _forms(manifest)),
        ("usage", _counts(usage)),
        ("cost", _cost(manifest)),
        ("error", f"{describe_code(error.code)}: {error.message}" if error else None),
    ]
    return [(label, text) for label, text in rows if text is not None]


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {_number(count)}" for name, count in counts.items())


def _missing(manifest: Manifest) -> str:
    """How many, and which where that is known; keys in JSON, since they may hold anything."""
    keys, count = manifest.missing_keys, _number(manifest.missing)
    if not keys:
        return count
    named = ", ".join(quote_key(key) for key in keys[:SHOWN_KEYS])
    more = f" and {len(keys) - SHOWN_KEYS:,} more" if len(keys) > SHOWN_KEYS else ""
    return f"{count} (keys without a result: {named}{more})"


def _cost(manifest: Manifest) -> str:
    cost = manifest.cost
    if not isinstance(cost, Cost):
        return f"unknown: {manifest.priced}" if isinstance(manifest.priced, Priced) else "unknown"
    parts = f"input {cost.input}, cached {cost.cached}, output {cost.output}"
    return f"{cost.amount} {cost.currency} ({parts}; prices of {cost.prices})"


def _forms(manifest: Manifest) -> str | None:
    """The objects of each form, and the answers without it; None where there is only raw."""
    forms = manifest.forms
    if not isinstance(forms, FormsRecord):
        return None
    failed = f"; failed: {_counts(forms.failed)}" if forms.failed else ""
    return f"{_counts(forms.objects) or 'none'}; {_number(forms.bytes)} bytes{failed}"


def _source(source: Source) -> str:
    if source.kind == "none":
        return "none"
    blank = f", {_number(source.blank)} of them blank" if source.blank else ""
    kind = source.name or "inlined responses"
    doubted = f"; doubted: {source.doubted}" if isinstance(source.doubted, str) else ""
    return f"{kind}: {_number(source.lines)} lines{blank}, {_number(source.bytes)} bytes{doubted}"
