"""Makes an option of `serve` from every fault, so that none is forgotten."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import click
import msgspec
from msgspec import inspect

from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.google_api import Json


@dataclass(frozen=True)
class FaultOption:
    name: str
    meaning: str
    form: str  # how its value is written as an option

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


class FaultClickOption(click.Option):
    """An option for a fault, which the help lists in a section of its own."""


class ServeCommand(click.Command):
    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        faults = [option for option in self.get_params(ctx) if isinstance(option, FaultClickOption)]
        others = [
            option for option in self.get_params(ctx) if not isinstance(option, FaultClickOption)
        ]
        for title, options in (("Options", others), ("Faults", faults)):
            with formatter.section(title):
                formatter.write_dl(_records(ctx, options))


def _records(ctx: click.Context, options: Iterable[click.Parameter]) -> list[tuple[str, str]]:
    return [record for option in options if (record := option.get_help_record(ctx)) is not None]


def _fault_options() -> dict[str, FaultOption]:
    shape = inspect.type_info(Faults)
    assert isinstance(shape, inspect.StructType)  # noqa: S101 - for the type checker
    return {field.name: _fault_option_of(field) for field in shape.fields}


def _fault_option_of(field: inspect.Field) -> FaultOption:
    described = field.type
    assert isinstance(described, inspect.Metadata)  # noqa: S101 - every fault has a description
    return FaultOption(
        field.name, (described.extra_json_schema or {})["description"], _form(described.type)
    )


def _form(shape: inspect.Type) -> str:
    """How a value is written: `N|all`, `A|B`, or `STATUS[,times=N|all]` with members."""
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
    if isinstance(shape, inspect.IntType):
        return "N"
    if isinstance(shape, inspect.FloatType):
        return "S" if shape.le is None else "SHARE"
    return "TEXT"


FAULT_OPTIONS = _fault_options()


def add_fault_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for every fault. Faults that are not given arrive as None."""
    for option in reversed(FAULT_OPTIONS.values()):
        added = click.option(
            option.flag,
            option.name,
            metavar=option.form,
            help=f"{option.meaning}.",
            cls=FaultClickOption,
        )
        command = added(command)
    return command


def read_faults(given: dict[str, str | None]) -> Faults:
    """The faults that were given. Raises click.BadParameter for a wrong value."""
    faults = Faults()
    for name, text in given.items():
        if text is not None:
            setattr(faults, name, _read(FAULT_OPTIONS[name], text))
    return faults


def _read(option: FaultOption, text: str) -> Any:
    try:
        read = msgspec.convert({option.name: _value(option, text)}, Faults, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise click.BadParameter(
            f"{text} is not {option.form}: {error}", param_hint=option.flag
        ) from error
    return getattr(read, option.name)


def _value(option: FaultOption, text: str) -> str | Json:
    """`503,times=2` as the object that the admin route takes; other values unchanged."""
    if "[," not in option.form:
        return text
    first, *others = text.split(",")
    named = dict(pair.split("=", 1) for pair in others)
    return {option.form.partition("[")[0].lower(): first, **named}
