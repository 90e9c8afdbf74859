"""How counts are said."""


def count_of(number: int, one: str, many: str) -> str:
    """A number with its noun, and the verb that goes with it.

    >>> count_of(1, "batch is", "batches are"), count_of(1200, "line", "lines")
    ('1 batch is', '1,200 lines')
    """
    return f"{number:,} {one if number == 1 else many}"
