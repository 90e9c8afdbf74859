"""What happened to a batch and when: the scripts of the inbox write a row at every step. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step of a batch in the inbox."""

    time_ms: int  # Unix time by Redis' clock
    what: str  # accepted, claimed, handed_back, lease_lost, what a wait was for (see postpone.lua), or how it ended
    detail: str  # its event and source, or the cause


def read_timeline(text: str) -> tuple[Step, ...]:
    """The steps, oldest first: the first one ever and the last ones. Rows that can't be read are left out.

    >>> read_timeline("1769083200000 accepted batch.succeeded static")
    (Step(time_ms=1769083200000, what='accepted', detail='batch.succeeded static'),)
    """
    steps = (_read_step(row) for row in text.split("\n"))
    return tuple(step for step in steps if step)


def _read_step(row: str) -> Step | None:
    match row.split(" ", 2):
        case [time_ms, what, detail] if time_ms.isdecimal():
            return Step(int(time_ms), what, detail)
    return None
