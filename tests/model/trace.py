"""Whether the model accepts what really happened: `python -m tests.model.trace FILE`.

The trace is that of `tests.chaos.recorder`. After each call the reply and what stands in the keys
that it touched must be the model's; wherever all of Redis was written down, all of it must be.

A call that was cut off may have run or not, and at a time that only Redis knew: the next look at
all of Redis decides, and must be explained by one of these. Times to live begin at a time that
Redis read a moment before the script did, so they may be off by CLOCK_MS.
"""

import copy
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from tests.model.calls import Call
from tests.model.model import Model, RefusedError
from tests.model.promises import Promises, check_state
from tests.model.redis_state import State, Stored, differences, raw, read_dump, shown

CLOCK_MS = 1000


@dataclass
class Figures:
    calls: int = 0
    lost: int = 0  # cut off, so that they may have run
    states: int = 0  # looks at all of Redis


@dataclass
class Validation:
    """Takes the lines of a trace one by one."""

    model: Model = field(default_factory=Model)
    figures: Figures = field(default_factory=Figures)
    promises: Promises = field(default_factory=Promises)
    lost: list[dict[str, Any]] = field(default_factory=list)

    def take(self, line: dict[str, Any]) -> None:
        """Raises AssertionError."""
        if "wipe" in line:
            self.model.wipe()
        elif "state" in line:
            self._take_state(line["now_ms"], state_of(line["state"]))
        elif "lost" in line:
            self.figures.lost += 1
            self.lost.append(line)
        elif "error" in line:
            raise RefusedError(f"{line['script']} failed: {line['error']}")
        else:
            self._take_call(line)

    def _take_call(self, line: dict[str, Any]) -> None:
        self.figures.calls += 1
        call = call_of(line, line["now_ms"])
        self.model.accept(call)
        self.promises.check_token(call)
        touched = [key for key, *_ in line["states"]]
        found = state_of([one for one in line["states"] if one[1] != "none"])
        ours = self.model.render_keys(touched)
        expected = {key: ours[key] for key in touched if key in ours}
        refuse_differences(expected, found, call.now_ms)

    def _take_state(self, now_ms: int, found: State) -> None:
        self.figures.states += 1
        for model in self._explanations():
            model.pass_time(now_ms)
            if not list(near_differences(model.render(), found, now_ms)):
                self.model, self.lost = model, []
                check_state(found, now_ms)
                return
        refuse_differences(self.model.render(), found, now_ms)

    def _explanations(self) -> Iterator[Model]:
        """What may be, after calls of which nobody knows whether they ran."""
        yield self.model
        for line in self.lost:
            first_ms, last_ms = line["lost"]
            for now_ms in range(first_ms - 1, last_ms + 1):
                model = copy.deepcopy(self.model)
                model.run(call_of(line, now_ms))
                yield model


def call_of(line: dict[str, Any], now_ms: int) -> Call:
    keys, args = tuple(line["keys"]), tuple(line["args"])
    reply = line.get("reply")
    return Call(line["script"], keys, args, now_ms, None if reply is False else reply)


def state_of(found: Any) -> State:
    return read_dump([(raw(key), raw(kind), end, _raw(value)) for key, kind, end, value in found])


def _raw(value: Any) -> Any:
    return raw(value) if isinstance(value, str) else [raw(part) for part in value]


def near_differences(expected: State, found: State, now_ms: int) -> Iterator[str]:
    """Where a time to live is about to end, the key may be there or not."""
    ours, theirs = dict(expected), dict(found)
    for key in expected.keys() | found.keys():
        ends = [one.expires_ms for one in (ours.get(key), theirs.get(key)) if one]
        known = [end for end in ends if end is not None]
        if len(ends) == 1 and known and abs(known[0] - now_ms) < CLOCK_MS:
            ours.pop(key, None)
            theirs.pop(key, None)
        elif len(known) > 1 and abs(known[0] - known[1]) < CLOCK_MS:
            ours[key] = Stored(ours[key].value, theirs[key].expires_ms)
    yield from differences(ours, theirs)


def refuse_differences(expected: State, found: State, now_ms: int) -> None:
    """Raises RefusedError with both states of the keys that differ."""
    lines = list(near_differences(expected, found, now_ms))
    if not lines:
        return
    differ = {key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)}
    states = [
        f"{whose}\n{shown({key: state[key] for key in differ if key in state})}"
        for whose, state in (("the model:", expected), ("Redis:", found))
    ]
    raise RefusedError("\n".join([*lines, *states]))


def validate(path: Path) -> Figures:
    """Raises RefusedError with the number of the line, the line, and both states."""
    validation, line = Validation(), dict[str, Any]()
    with path.open() as file:
        for number, row in enumerate(file, 1):
            line = json.loads(row)
            try:
                validation.take(line)
            except AssertionError as error:
                short = {name: value for name, value in line.items() if name != "state"}
                raise RefusedError(f"{path.name} line {number}: {short}\n{error}") from error
    if "state" not in line:
        raise RefusedError(f"{path.name} does not end with all of Redis")
    return validation.figures


def main() -> int:
    try:
        figures = validate(Path(sys.argv[1]))
    except RefusedError as error:
        click.echo(f"REFUSED: {error}")
        return 1
    click.echo(
        f"accepted: {figures.calls} calls, {figures.lost} that were cut off,"
        f" {figures.states} looks at all of Redis"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
