"""Points in time on the command line."""

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
                expected = "expected 36h, 7d or 2026-11-22T18:00:00Z"
                self.fail(f"{value!r} is not a point in time: {expected}", param, ctx)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)

        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
