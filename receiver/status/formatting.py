"""How the page shows numbers, times, and texts that others wrote. Pure."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from receiver.outputs.manifest import Cost

JOINERS = "\u200c\u200d"  # of Persian words and of emoji
UNKNOWN = "unknown"
SIZES = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
SPANS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
SHOWN_DIGITS = 4
LAST_MS = 253_402_300_799_000  # the end of the year 9999


def clean(text: str) -> str:
    r"""A text on one line, without control characters, direction marks and lone surrogates.

    >>> clean("a\n\x1b[2Jb")
    'a �[2Jb'
    """
    line = " ".join(text.split())
    return "".join(one if one.isprintable() or one in JOINERS else "�" for one in line)


def clean_lines(text: str) -> str:
    r"""A text as `clean` gives it, but with its lines, tabs and spaces.

    >>> clean_lines("a  b\r\n\x1b[2J\tc")
    'a  b\n�[2J\tc'
    """
    return "\n".join(map(_clean_line, text.replace("\r\n", "\n").split("\n")))


def _clean_line(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(
        one if one.isprintable() or one in JOINERS or one == "\t" else " " if one.isspace() else "�"
        for one in line
    )


def count(number: float | None) -> str:
    """A number with a comma every three digits.

    >>> count(1234567), count(None)
    ('1,234,567', 'unknown')
    """
    return UNKNOWN if number is None else f"{number:,.0f}"


def size(number: float | None) -> str:
    """A number of bytes in the largest fitting unit.

    >>> [size(number) for number in (None, 999, 1_000, 123_456, 2_340_000_000)]
    ['unknown', '999 B', '1.0 kB', '123 kB', '2.3 GB']
    """
    if number is None:
        return UNKNOWN
    for unit, step in SIZES:
        if number >= step:
            digits = 0 if number >= 100 * step else 1
            return f"{number / step:.{digits}f} {unit}"
    return f"{number:.0f} B"


def span(seconds: float | None) -> str:
    """A length of time in its two largest units.

    >>> [span(seconds) for seconds in (None, 0, 41, 600, 11_523, 200_000)]
    ['unknown', '0s', '41s', '10m', '3h 12m', '2d 7h']
    """
    if seconds is None:
        return UNKNOWN
    left = max(0, int(seconds))
    for (unit, step), (lower, low) in pairwise(SPANS):
        if left >= step:
            rest = left % step // low
            return f"{left // step}{unit} {rest}{lower}" if rest else f"{left // step}{unit}"
    return f"{left}s"


def moment(ms: float) -> str:
    """Unix time in milliseconds as RFC 3339 in UTC."""
    return _utc(ms).strftime("%Y-%m-%dT%H:%M:%SZ")


def date_and_time(ms: float) -> str:
    """The same for people."""
    return _utc(ms).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(ms: float) -> str:
    return _utc(ms).strftime("%H:%M:%S UTC")


def _utc(ms: float) -> datetime:
    # Another program may have written any number.
    return datetime.fromtimestamp(min(max(0.0, ms), LAST_MS) / 1000, UTC)


def read_moment(text: str | None) -> int | None:
    """RFC 3339 as Unix time in milliseconds; None for other texts.

    >>> read_moment("1970-01-01T00:00:01.500000000Z"), read_moment("soon")
    (1500, None)
    """
    try:
        found = datetime.fromisoformat(text or "")
        in_zone = found if found.tzinfo else found.replace(tzinfo=UTC)
        return max(0, int(in_zone.timestamp() * 1000))
    except (ValueError, OverflowError):
        return None


def dollars(amount: Decimal | None) -> str:
    """An amount of US dollars as `money` shows it.

    >>> dollars(Decimal("12.5")), dollars(None)
    ('$12.50', 'unknown')
    """
    return UNKNOWN if amount is None else money(Cost("USD", f"{amount:f}", "", "0", "0", "0"))


def money(cost: Cost | str | None) -> str:
    """A price with as many digits as a person compares; empty where none is given.

    >>> money(Cost("USD", "0.000043719", "2026-10-07", "0", "0", "0"))
    '$0.00004372'
    """
    if not isinstance(cost, Cost):
        return cost or ""
    try:
        amount = Decimal(cost.amount)
        digits = 2 if amount == 0 or amount >= 1 else SHOWN_DIGITS - 1 - amount.adjusted()
        shown = f"{amount:,.{digits}f}"
    except (InvalidOperation, ValueError):  # no number, or NaN
        return UNKNOWN

    shown = shown.rstrip("0").ljust(shown.index(".") + 3, "0") if "." in shown else shown
    return f"${shown}" if cost.currency == "USD" else f"{shown} {cost.currency}"
