"""Moments as a person writes them, and ages as one reads them."""

import re
from datetime import UTC, datetime, timedelta

import click

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType[str]):
    """`36h`, `7d`, or an RFC 3339 date and time; gives the latter in UTC."""

    name = "moment"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if match := re.fullmatch(r"(\d{1,5})([mhd])", value):
            moment = datetime.now(UTC) - timedelta(**{UNITS[match[2]]: int(match[1])})
        else:
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                self.fail(
                    f"{value!r} is no moment: expected 36h, 7d or 2026-11-22T18:00:00Z", param, ctx
                )
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def show_age(ms: int) -> str:
    """A span of time in its largest unit.

    >>> [show_age(ms) for ms in (900, 119_000, 7_200_000, 200_000_000)]
    ['0s', '1m', '2h', '2d']
    """
    seconds = max(0, ms // 1000)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def show_moment(ms: int) -> str:
    """Unix time in milliseconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
