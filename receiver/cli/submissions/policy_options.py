"""The options that say how far a submission goes by itself."""

from collections.abc import Callable
from functools import wraps
from typing import Any, get_args

import click
from click.core import ParameterSource

from receiver.cli.option_types import NONE, Dollars, Duration
from receiver.errors import ExportError
from receiver.rows.export_target import ExportTarget
from receiver.submissions.estimates import format_dollars
from receiver.submissions.policy import (
    DEFAULT_ROUNDS,
    MAX_OUTPUT_TOKENS,
    MAX_ROUNDS,
    OUTPUT_TOKENS_LIMIT,
    Policy,
    RescueWay,
)

Change = dict[str, Any]  # fields of a Policy that the user states
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Export(click.ParamType[str | None]):
    """A path or URL of a table to write; gives its URL, and None for `none`."""

    name = "url"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | None:
        if value == NONE:
            return None
        try:
            return ExportTarget.parse(value).url
        except ExportError as error:
            self.fail(str(error), param, ctx)


_rounds = click.option(
    "--rounds",
    type=click.IntRange(0, MAX_ROUNDS),
    help="Send what has no answer again, so many times at most; 0 sends nothing again."
    f"  [default: {DEFAULT_ROUNDS}]",
)
_max_cost = click.option(
    "--max-cost",
    type=Dollars(),
    help="Send nothing that could take the cost of all rounds above so many US dollars; `none`"
    " lifts the limit.  [default: none]",
)
_allow_unknown_cost = click.option(
    "--allow-unknown-cost",
    is_flag=True,
    help="Also send what nobody knows the price of, though there is a limit.",
)
_rescue_after = click.option(
    "--rescue-after",
    "rescue_after_s",
    type=Duration(),
    help="Cancel a batch that has not ended by then (30h, 2d), keep what it has, and send the rest"
    " again; `none` waits.  [default: none]",
)
_rescue = click.option(
    "--rescue",
    type=click.Choice(get_args(RescueWay)),
    help="Send the rest as a new batch, or one by one with the service tier flex."
    "  [default: batch]",
)
_overdue_after = click.option(
    "--overdue-after",
    "overdue_s",
    type=Duration(allows_none=False),
    help="Tell of a batch that has not ended by then.  [default: 24h]",
)
_max_output_tokens = click.option(
    "--max-output-tokens",
    type=click.IntRange(1, OUTPUT_TOKENS_LIMIT),
    help="How far the output budget of a truncated answer may grow."
    f"  [default: {MAX_OUTPUT_TOKENS}]",
)
_explain_invalid = click.option(
    "--explain-invalid",
    is_flag=True,
    help="Tell the model why an answer did not fit RESPONSE_SCHEMA, when it is asked again.",
)
_export = click.option(
    "--export",
    type=Export(),
    help="Where workers write the table with the answers in the end: a path or s3://, gs://, az://;"
    " the ending says the form; `none` for nowhere.  [default: none]",
)


def policy_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """All of them, for what is submitted; the function gets a `change`."""
    return _collected(
        _rounds,
        _max_cost,
        _allow_unknown_cost,
        _rescue_after,
        _rescue,
        _overdue_after,
        _max_output_tokens,
        _explain_invalid,
        _export,
    )(function)


def resume_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Those that let a submission that has stopped go on; the function gets a `change`."""
    options = (_rounds, _max_cost, _allow_unknown_cost, _rescue_after, _rescue, _export)
    return _collected(*options)(function)


def require_writable(change: Change) -> None:
    """Raises ExportError where the user states an `--export` that can't be written."""
    if change.get("export") is not None:
        ExportTarget.parse(change["export"]).require_writable()


def _collected(*options: Decorator) -> Decorator:
    """What the user states of these options, as one argument `change`."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def collect(*args: Any, **given: Any) -> Any:
            ctx = click.get_current_context()
            fields = {name: given.pop(name) for name in Policy.__struct_fields__ if name in given}
            stated = {name: value for name, value in fields.items() if _is_stated(ctx, name)}
            return function(*args, change=stated, **given)

        whole: Callable[..., Any] = collect
        for option in reversed(options):
            whole = option(whole)
        return whole

    return decorate


def _is_stated(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is not ParameterSource.DEFAULT


def describe_policy(policy: Policy) -> str:
    """In words, for people.

    >>> describe_policy(Policy(rounds=1, rescue_after_s=108_000))
    'up to 1 round after the first sending, after 30 h the rest of a batch goes as a new batch'
    >>> describe_policy(Policy(rounds=0, rescue_after_s=100 * 60))
    'nothing is sent again, after 100 min the rest of a batch goes as a new batch'
    """
    rounds = "round" if policy.rounds == 1 else "rounds"
    parts = [f"up to {policy.rounds} {rounds} after the first sending"]
    if not policy.rounds:
        parts = ["nothing is sent again"]
    if policy.max_cost is not None:
        parts.append(f"at most {format_dollars(policy.max_cost)}")
        parts += ["unknown costs allowed"] if policy.allow_unknown_cost else []
    if policy.rescue_after_s is not None:
        way = "one by one with flex" if policy.rescue == "flex" else "as a new batch"
        minutes = policy.rescue_after_s / 60
        span = f"{minutes:g} min" if minutes % 60 else f"{minutes / 60:g} h"
        parts.append(f"after {span} the rest of a batch goes {way}")
    if policy.export is not None:
        parts.append(f"the table goes to {ExportTarget.parse(policy.export)}")
    return ", ".join(parts)
