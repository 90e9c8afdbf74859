"""How counts and keys are said. Pure."""

import json


def count_of(number: int, one: str, many: str) -> str:
    """A number with its noun, and the verb that goes with it.

    >>> count_of(1, "batch is", "batches are"), count_of(1200, "line", "lines")
    ('1 batch is', '1,200 lines')
    """
    return f"{number:,} {one if number == 1 else many}"


def quote_key(key: str) -> str:
    r"""A key as JSON that people can read: only what is unprintable is escaped.

    >>> print(quote_key("d/é"), quote_key('a"\n\x9b'))
    "d/é" "a\"\n\u009b"
    """
    quoted = json.dumps(key, ensure_ascii=False)
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in quoted)
