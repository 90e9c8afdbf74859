"""`GEMINI_API_KEY__ACME`, `NOTIFY_URL__OPS`: a name behind two underscores, for one of several."""

from collections.abc import Collection

from receiver.batch_names import PROJECT
from receiver.settings.environment import Reader
from receiver.settings.secret_files import MARK, file_variable

NO_SUFFIX = "default"  # how a person names the one without a suffix


def find_suffixes(
    reader: Reader, variables: Collection[str], owner: str, example: str
) -> tuple[list[str], bool]:
    """The right names behind these variables, in lower case, and whether there was any name.

    Wrong ones go to `reader.problems`, which say what the `owner` of a suffix is and show an
    example such as `GEMINI_API_KEY__ACME`.
    """
    parts = [
        (variable, *variable.partition("__"))
        for variable in sorted(reader.environ)
        if reader.text(variable)
    ]
    found = [
        (variable, suffix) for variable, name, mark, suffix in parts if name in variables and mark
    ]

    names = set[str]()
    for variable, suffix in found:
        if fault := _find_fault(suffix, owner, example):
            reader.problems.append(f"{variable}: {fault}")
        else:
            names.add(suffix.lower())
    return sorted(names), bool(found)


def _find_fault(suffix: str, owner: str, example: str) -> str | None:
    """Why a suffix is no name; None where it is one."""
    name = suffix.lower()
    if suffix != suffix.upper() or not PROJECT.fullmatch(name):
        return f"after __ comes a {owner}'s name of up to 40 of A-Z, 0-9 and _, such as {example}"
    if suffix.endswith(MARK):
        return f"a {owner}'s suffix comes last, such as {file_variable(example)}"
    if name == NO_SUFFIX:
        return f"the default {owner}'s variables have no suffix: take it off"
    return None
