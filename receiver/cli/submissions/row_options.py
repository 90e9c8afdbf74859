"""The options of `batches submit` for a table: what is asked of each of its rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec

from receiver.errors import RowsError
from receiver.rows.asking import Asking, read_setting
from receiver.rows.prompts import Prompt
from receiver.rows.readers import ENDINGS, TableFormat, read_columns, table_format
from receiver.submissions.request_faults import find_faults

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option(
        "--prompt",
        type=_file,
        help="A Jinja template of what to ask of each row; its names are columns of the table.",
    ),
    click.option("--key", metavar="COLUMN", help="Column of the keys.  [default: row number]"),
    click.option(
        "--system", type=_file, help="A Jinja template of the system instruction of each row."
    ),
    click.option(
        "--schema", type=_file, help="A JSON Schema of the answers, whose fields become columns."
    ),
    click.option(
        "--set",
        "settings",
        metavar="NAME=VALUE",
        multiple=True,
        help="A field of generation_config, such as max_output_tokens=500.",
    ),
    click.option(
        "--image", "images", metavar="COLUMN", multiple=True, help="Column of pictures to send."
    ),
    click.option(
        "--file",
        "files",
        metavar="COLUMN",
        multiple=True,
        help="Column of files to send: paths from the table's folder, or addresses.",
    ),
    click.option("--embed", metavar="COLUMN", help="Embed the text of this column."),
    click.option(
        "--reuse",
        is_flag=True,
        help="Take the answers that stored submissions to the same model have for equal requests.",
    ),
    click.option(
        "--preview",
        type=click.IntRange(min=1),
        metavar="N",
        help="Print the requests of the first rows, and send nothing.",
    ),
)


@dataclass(frozen=True)
class RowOptions:
    """What the user says of a table."""

    prompt: Path | None = None
    key: str | None = None
    system: Path | None = None
    schema: Path | None = None
    settings: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    embed: str | None = None
    reuse: bool = False
    preview: int | None = None

    def form_of(self, file: Path) -> TableFormat | None:
        """The format of a table; None for a file of requests. Raises UsageError."""
        form = table_format(file)
        asks = self.prompt is not None or self.embed is not None
        if self.prompt is not None and self.embed is not None:
            raise click.UsageError("--prompt and --embed exclude each other")
        if asks and form is None:
            raise click.UsageError(
                f"{file} is no table: its ending is none of {', '.join(sorted(ENDINGS))}"
            )
        if asks:
            return form
        if form not in (None, "jsonl"):
            raise click.UsageError(
                f"{file} is a table: say what to ask of each row with --prompt FILE, or name a"
                " column to embed with --embed; requests come as JSON lines"
            )
        if self != RowOptions():
            raise click.UsageError(
                "--key, --system, --schema, --set, --image, --file, --reuse and --preview are for"
                " tables: add --prompt FILE or --embed COLUMN"
            )
        return None

    def read(self, file: Path, form: TableFormat) -> tuple[Asking, tuple[str, ...]]:
        """What is asked of each row, and the columns of the table. Raises RowsError."""
        columns = read_columns(file, form)
        attachments = (*self.images, *self.files)
        named = [*attachments, self.embed, self.key]
        for column in named:
            if column is not None and column not in columns:
                raise RowsError(f"{file} has no column {column!r}; it has {', '.join(columns)}")
        config = dict(read_setting(text) for text in self.settings)
        _require_fields(config, is_embedding=self.embed is not None)
        return Asking(
            prompt=_read_prompt(self.prompt, columns, "--prompt"),
            system=_read_prompt(self.system, columns, "--system"),
            embed=self.embed,
            schema=_read_schema(self.schema),
            config=config,
            attachments=attachments,
            key=self.key,
        ), columns


def row_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """All of them; the function gets `rows`."""

    @wraps(function)
    def collect(*args: Any, **given: Any) -> Any:
        fields = {name: given.pop(name) for name in RowOptions.__dataclass_fields__}
        return function(*args, rows=RowOptions(**fields), **given)

    whole: Callable[..., Any] = collect
    for option in reversed(_OPTIONS):
        whole = option(whole)
    return whole


def _require_fields(config: dict[str, Any], *, is_embedding: bool) -> None:
    """Raises RowsError where `--set` names what is no field of generation_config."""
    if is_embedding and config:
        raise RowsError("--set is for prompts: a request to embed has no generation_config")
    request = {"contents": [{"parts": [{"text": "x"}]}], "generation_config": config}
    for fault in find_faults("generate", request):
        raise RowsError(f"--set: {fault}")


def _read_prompt(path: Path | None, columns: tuple[str, ...], option: str) -> Prompt | None:
    return None if path is None else Prompt.parse(_read_text(path), columns, option)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RowsError(f"{path} can't be read as text: {error}") from error


def _read_schema(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        return msgspec.json.decode(_read_text(path), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise RowsError(f"--schema: {path} is no JSON object: {error}") from error
