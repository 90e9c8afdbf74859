"""Every knob of the faults as an option of `serve`, made from the knobs themselves so that none is forgotten."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import click
import msgspec
from msgspec import inspect

from deploy.sandbox.faults import Faults
from deploy.sandbox.wire import Json


@dataclass(frozen=True)
class Knob:
    name: str
    meaning: str
    form: str  # how its value is written as an option

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


class KnobOption(click.Option):
    """An option that is a knob; the help lists these apart."""


class ServeCommand(click.Command):
    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        knobs = [option for option in self.get_params(ctx) if isinstance(option, KnobOption)]
        others = [option for option in self.get_params(ctx) if not isinstance(option, KnobOption)]
        for title, options in (("Options", others), ("Faults", knobs)):
            with formatter.section(title):
                formatter.write_dl(_records(ctx, options))


def _records(ctx: click.Context, options: Iterable[click.Parameter]) -> list[tuple[str, str]]:
    return [record for option in options if (record := option.get_help_record(ctx)) is not None]


def _knobs() -> dict[str, Knob]:
    shape = inspect.type_info(Faults)
    assert isinstance(shape, inspect.StructType)  # noqa: S101 - for the type checker: Faults is a Struct
    return {field.name: _knob_of(field) for field in shape.fields}


def _knob_of(field: inspect.Field) -> Knob:
    described = field.type
    assert isinstance(described, inspect.Metadata)  # noqa: S101 - every knob has its meaning
    return Knob(
        field.name, (described.extra_json_schema or {})["description"], _form(described.type)
    )


def _form(shape: inspect.Type) -> str:
    """`N|all`, `A|B`, or for a fault with members `STATUS[,times=N|all]…`: the first one stands without its name."""
    if isinstance(shape, inspect.UnionType):
        return "|".join(
            _form(part) for part in shape.types if not isinstance(part, inspect.NoneType)
        )
    if isinstance(shape, inspect.LiteralType):
        return "|".join(str(value) or '""' for value in shape.values)
    if isinstance(shape, inspect.StructType):
        first, *others = shape.fields
        return first.name.upper() + "".join(
            f"[,{other.name}={_form(other.type)}]" for other in others
        )
    return (
        "N"
        if isinstance(shape, inspect.IntType)
        else "S"
        if isinstance(shape, inspect.FloatType)
        else "TEXT"
    )


KNOBS = _knobs()


def knob_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for every knob; what was given arrives as keyword arguments, the rest as None."""
    for knob in reversed(KNOBS.values()):
        option = click.option(
            knob.flag, knob.name, metavar=knob.form, help=f"{knob.meaning}.", cls=KnobOption
        )
        command = option(command)
    return command


def read_knobs(given: dict[str, str | None]) -> Faults:
    """The faults that the options ask for. Raises click.BadParameter for a value that a knob can't have."""
    faults = Faults()
    for name, text in given.items():
        if text is not None:
            setattr(faults, name, _read(KNOBS[name], text))
    return faults


def _read(knob: Knob, text: str) -> Any:
    try:
        read = msgspec.convert({knob.name: _value(knob, text)}, Faults, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise click.BadParameter(
            f"{text} is not {knob.form}: {error}", param_hint=knob.flag
        ) from error
    return getattr(read, knob.name)


def _value(knob: Knob, text: str) -> str | Json:
    """`503,times=2` as the object that the admin route would get; anything without members as it is."""
    if "[," not in knob.form:
        return text
    first, *others = text.split(",")
    named = dict(pair.split("=", 1) for pair in others)
    return {knob.form.partition("[")[0].lower(): first, **named}
