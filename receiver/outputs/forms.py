"""The forms that OUTPUT_FORMS may name, beside the raw lines. Pure."""

import importlib.util
from collections.abc import Collection
from typing import Literal, get_args

Form = Literal["text", "thoughts", "json", "media", "table"]
RAW = "raw"
MAX_SHOWN_CHARS = 40  # of a wrong word
MAX_SHOWN = 5  # wrong words
FORMS: tuple[Form, ...] = get_args(Form)


def parse_forms(text: str) -> tuple[Form, ...]:
    """The forms that a list such as "raw, text" names, without raw, in the order of FORMS.

    Raises ValueError with what was expected.
    """
    named = text.replace(",", " ").split()
    unknown = sorted(set(named) - {RAW, *FORMS})
    expected = f"expected some of {', '.join((RAW, *FORMS))}, separated by commas"
    if unknown:
        wrong = ", ".join(repr(word[:MAX_SHOWN_CHARS]) for word in unknown[:MAX_SHOWN])
        raise ValueError(
            f"{wrong} {'is no form' if len(unknown) == 1 else 'are no forms'}; {expected}"
        )
    if not named:
        raise ValueError(expected)
    return tuple(form for form in FORMS if form in named)


def has_parquet() -> bool:
    """Whether tables can be written as Parquet here; else they are gzip of JSON lines."""
    return importlib.util.find_spec("pyarrow") is not None


def warn_of_missing_parquet(forms: Collection[Form]) -> str | None:
    """What to install where tables are asked for that can't be Parquet; None where all is there."""
    if "table" not in forms or has_parquet():
        return None
    return (
        "OUTPUT_FORMS has table, but pyarrow is not installed: tables are written as"
        " _table.jsonl.gz instead of _table.parquet; pip install -e '.[parquet]'"
    )
