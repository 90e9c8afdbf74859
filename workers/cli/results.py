"""`batches results`: one result, from the storage."""

import click

from receiver.answers.answer import plain_text, read_answer
from receiver.answers.index_rows import StoredRow
from receiver.answers.index_search import IndexSearch
from receiver.answers.lookup import describe_result, explain_absence, read_line
from receiver.answers.reasons import parse_reason
from receiver.cli.batch_lookup import complete_batch, find_batch
from receiver.cli.command import command, json_option, load_settings
from receiver.cli.projects import project_option
from receiver.cli.stored import load_stored
from receiver.outputs.error_codes import describe_code
from receiver.outputs.outcomes import ERROR_FILE
from receiver.outputs.wording import quote_key
from receiver.storage import open_storage


@command("results", "abc request-7", "evening request-7 --text")
@click.argument("batch", shell_complete=complete_batch)
@click.argument("key")
@click.option("--text", "as_text", is_flag=True, help="Print only the text of the answer.")
@project_option
@json_option("a JSON object: the line, its object and its offset")
@click.pass_context
def results(  # noqa: PLR0913 - one parameter per option
    ctx: click.Context, batch: str, key: str, *, as_text: bool, label: str | None, as_json: bool
) -> None:
    """Print the result of one key of a stored batch.

    It is the line that Gemini sent, byte for byte. Exit code 1 when there is no such key, or when
    it has no answer: then the line says why.
    """
    if as_text and as_json:
        raise click.UsageError("--text and --json exclude each other")
    settings = load_settings()
    name = find_batch(settings, batch, label, ask_gemini="if unknown")
    storage = open_storage(settings.storage_url)
    manifest, _ = load_stored(settings, storage, name)
    search = IndexSearch(storage, name)
    row = None if manifest.index is None else search.find_key(key)
    if row is None:
        raise click.ClickException(
            f"{name} has no result for {quote_key(key)}: {explain_absence(manifest, key)}"
        )
    line = read_line(storage, row)
    if as_json:
        click.echo(describe_result(row, line))
    elif as_text and row.outcome not in ERROR_FILE:
        _write_text(row, line)
    else:
        click.echo(line)
    if row.outcome in ERROR_FILE:
        code = describe_code(parse_reason(line).code)
        click.echo(f"no answer: {row.outcome}{code and f' {code}'}", err=True)
        ctx.exit(1)


def _write_text(row: StoredRow, line: bytes) -> None:
    text = read_answer(line).text
    if text is None:
        raise click.ClickException(
            f"the answer has no text: it is {row.outcome}; without --text its line is printed"
        )
    click.echo(plain_text(text).encode())
