"""deploy/LOGS.md is the list of event names, with their levels."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from receiver.gemini.webhook_diagnosis import NOTES, ProblemKind
from tests.deploy.reading import DEPLOY, ROOT

LEVELS = ("debug", "info", "warning", "error", "critical")
UNSEEN = {*NOTES, "unreachable"}  # by a look, which sends nothing to the endpoint
FAULTS = [f"webhook.{kind}" for kind in get_args(ProblemKind) if kind not in UNSEEN]


def listed() -> dict[str, set[str]]:
    """Events of the table with their levels."""
    rows = [
        line.split("|")
        for line in (DEPLOY / "LOGS.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    return {event.strip(" `"): set(levels.strip().split(", ")) for _, event, levels, *_ in rows}


def names_of(node: ast.expr) -> list[str]:
    match node:
        case ast.Constant(value=str(name)):
            return [name]
        case ast.JoinedStr(values=[ast.Constant(value="webhook."), _]):
            return FAULTS
    raise AssertionError(f"{ast.unparse(node)} is no name of an event")


def origin_of(level: ast.expr, module: ast.Module) -> str:
    """The expression itself, and what its names were set to."""
    names = {node.id for node in ast.walk(level) if isinstance(node, ast.Name)}
    sources = [
        node.value
        for node in ast.walk(module)
        if isinstance(node, ast.Assign) and {ast.unparse(target) for target in node.targets} & names
    ]
    return " ".join([ast.unparse(level), *(origin_of(one, module) for one in sources)])


def logged_in(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Names and levels of a module's events."""
    module = ast.parse(path.read_text())
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Name(id="Rejection"), args=[_, _, event, level, *_]):
                levels = {ast.unparse(level).removeprefix("logging.").lower()}
            case ast.Call(args=[_, ast.Attribute(value=ast.Name(id="rejection"), attr="event")]):
                continue  # one of those
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log"), attr="log"), args=[level, event, *_]
            ):
                levels = {
                    one.lower()
                    for one in re.findall(r"logging\.([A-Z]+)", origin_of(level, module))
                }
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log"), attr=called), args=[event, *_]
            ):
                levels = {"error" if called == "exception" else called}
            case _:
                continue
        yield from ((name, levels) for name in names_of(event))


def loggers_of(module: ast.Module) -> set[str]:
    """What a module calls its loggers."""
    return {
        ast.unparse(target)
        for node in ast.walk(module)
        if isinstance(node, ast.Assign) and "getLogger(" in ast.unparse(node.value)
        for target in node.targets
    }


def logged() -> dict[str, set[str]]:
    found = dict[str, set[str]]()
    for path in (
        path for package in ("receiver", "workers") for path in (ROOT / package).rglob("*.py")
    ):
        for name, levels in logged_in(path):
            found.setdefault(name, set()).update(levels)
    return found


def test_every_event_is_listed() -> None:
    assert set(listed()) == set(logged())


def test_no_logger_escapes_these_tests() -> None:
    """One under another name wrote free text as its event."""
    for path in (
        path for package in ("receiver", "workers") for path in (ROOT / package).rglob("*.py")
    ):
        text = path.read_text()
        assert loggers_of(ast.parse(text)) <= {"log"}, path
        assert not re.search(
            r"\blogging\.(debug|info|warning|error|exception|critical|log)\(", text
        ), path


def test_levels_are_those_of_the_code() -> None:
    found = logged()
    assert {name: stated for name, stated in listed().items() if stated != found[name]} == {}
    assert set.union(*listed().values()) == set(LEVELS)


def test_names_are_a_noun_and_what_became_of_it() -> None:
    assert [name for name in logged() if not re.fullmatch(r"[a-z]+\.[a-z]+(_[a-z]+)*", name)] == []


def test_table_is_in_order() -> None:
    assert list(listed()) == sorted(listed())
