"""Reads the parameters of an address into a struct, which also describes them to programs."""

import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from receiver.api.problems import ErrorDetail, ProblemError

NONE = "none"  # lifts a limit, as on the command line
_PLACE = re.compile(r" - at `\$`?$")
Q = TypeVar("Q", bound=msgspec.Struct)


def read_parameters(kind: type[Q], given: Iterable[tuple[str, str]]) -> Q:
    """The parameters of an address as a struct. Raises ProblemError, which names all wrong ones."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    texts, values, faults = dict[str, str](), dict[str, Any](), list[ErrorDetail]()
    for name, text in given:
        if name in texts:
            faults.append(ErrorDetail(parameter=name, detail="it is given twice"))
        texts[name] = text

    for name, text in texts.items():
        if name not in fields:
            known = ", ".join(fields) or "no parameter"
            faults.append(ErrorDetail(parameter=name, detail=f"it is unknown: expected {known}"))
            continue
        try:
            values[name] = _convert(text, fields[name].type)
        except msgspec.ValidationError as error:
            faults.append(ErrorDetail(parameter=name, detail=_PLACE.sub("", str(error))))

    missing = [name for name, field in fields.items() if field.required and name not in texts]
    faults += [ErrorDetail(parameter=name, detail="it is missing") for name in missing]
    if faults:
        raise ProblemError(400, "parameters of the address are wrong", faults)
    return kind(**values)


def _convert(text: str, kind: Any) -> Any:
    """Raises ValidationError."""
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        if text != NONE:
            raise
        return msgspec.convert(None, kind)


def refuse_parameter(name: str, detail: str) -> ProblemError:
    fault = ErrorDetail(parameter=name, detail=detail)
    return ProblemError(400, "parameters of the address are wrong", [fault])
