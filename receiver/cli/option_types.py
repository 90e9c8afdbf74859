"""Points in time, spans of time and amounts of money on the command line."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

import click

UNITS = {"m": "minutes", "h": "hours", "d": "days"}
NONE = "none"
SPAN = re.compile(r"(\d{1,5})([mhd])")


class Moment(click.ParamType[str]):
    """`36h`, `7d`, or an RFC 3339 date and time; gives the latter in UTC."""

    name = "moment"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if (span := _read_span(value)) is not None:
            moment = datetime.now(UTC) - span
        else:
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                expected = "expected 36h, 7d or 2026-11-22T18:00:00Z"
                self.fail(f"{value!r} is not a point in time: {expected}", param, ctx)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)

        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Duration(click.ParamType[float | None]):
    """`90m`, `30h` or `2d`; gives seconds, and None for `none`, where that is allowed."""

    name = "duration"

    def __init__(self, *, allows_none: bool = True) -> None:
        self._allows_none = allows_none

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        if self._allows_none and value == NONE:
            return None
        span = _read_span(value)
        if not span:
            self.fail(f"{value!r} is no span of time: expected 90m, 30h or 2d", param, ctx)
        return span.total_seconds()


class Dollars(click.ParamType[Decimal | None]):
    """An amount of US dollars, such as `2.50`, more than nothing; None for `none`."""

    name = "usd"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal | None:
        if value == NONE:
            return None
        try:
            amount = Decimal(value.removeprefix("$"))
        except InvalidOperation:
            amount = Decimal(0)
        if not amount.is_finite() or amount <= 0:
            self.fail(f"{value!r} is no amount of US dollars, such as 2.50", param, ctx)
        return amount


def _read_span(text: str) -> timedelta | None:
    match = SPAN.fullmatch(text)
    return timedelta(**{UNITS[match[2]]: int(match[1])}) if match else None
