"""The forms that OUTPUT_FORMS may ask for, beside the raw lines."""

from typing import Literal, get_args

Form = Literal["text", "thoughts", "json", "media", "table"]
RAW = "raw"
NO_FORMS: tuple[Form, ...] = ()  # beside raw
FORMS: tuple[Form, ...] = get_args(Form)


def parse_forms(text: str) -> tuple[Form, ...]:
    """The forms beside raw that a list such as "raw, text" names, in the order of FORMS. Raises ValueError."""
    named = text.replace(",", " ").split()
    unknown = sorted(set(named) - {RAW, *FORMS})
    if unknown or not named:
        raise ValueError(f"expected some of {', '.join((RAW, *FORMS))}, separated by commas")
    return tuple(form for form in FORMS if form in named)
