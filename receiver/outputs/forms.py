"""The forms that OUTPUT_FORMS may name, beside the raw lines. Pure."""

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
