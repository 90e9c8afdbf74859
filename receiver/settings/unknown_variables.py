"""Variables that look like settings and are none: a typo must not pass in silence.

What is close to a setting that is not set stops the start. What merely begins as our settings do may be somebody
else's, and is a warning; so is what is close to a setting that is set beside it.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from receiver.settings.secret_files import MARK, SECRETS

OURS = ("GEMINI_", "OUTPUT_", "NOTIFY_")  # nobody else's variables begin so, but for these:
OTHERS = re.compile(
    r"GEMINI_(CLI|TELEMETRY|SANDBOX)(_.*)?|GEMINI_(MODEL|SYSTEM_MD|WRITE_SYSTEM_MD)|NOTIFY_SOCKET"  # systemd's
    r"|.*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP)(_.*)?)?)"  # Kubernetes' and Docker's of a service
)
SHORTEST = 8  # characters of a name whose typos are looked for: not HOST and PORT
MAX_EDITS = 2


@dataclass(frozen=True)
class Unknown:
    """A variable that nothing reads."""

    text: str  # what is said of it; never its value
    is_typo: bool  # it stops the start


def find_unknown(
    environ: Mapping[str, str], known: Collection[str], of_projects: Collection[str]
) -> list[Unknown]:
    """What is set and looks like one of the `known` settings; `of_projects` are those that take a project's suffix."""
    stated = sorted(name for name, value in environ.items() if value.strip())
    return [found for name in stated for found in _judge(name, set(stated), known, of_projects)]


def _judge(
    name: str, stated: set[str], known: Collection[str], of_projects: Collection[str]
) -> Iterator[Unknown]:
    base, mark, suffix = name.partition("__")
    setting = base.removesuffix(MARK) if base not in known else base
    if setting in known:
        yield from _judge_form(name, setting, known, of_projects)
        return
    if OTHERS.fullmatch(name):
        return
    if near := next(
        (one for one in sorted(known) if len(one) >= SHORTEST and _is_near(base, one)), None
    ):
        meant = f"{near}{mark}{suffix}"
        yield Unknown(f"{name}: is no setting; did you mean {meant}?", is_typo=meant not in stated)
    elif longer := next((one for one in sorted(of_projects) if base.startswith(f"{one}_")), None):
        meant = f"{longer}__{base.removeprefix(f'{longer}_')}"
        yield Unknown(
            f"{name}: is no setting; did you mean {meant}, of a project of that name?",
            is_typo=False,
        )
    elif name.startswith(OURS):
        yield Unknown(
            f"{name}: is no setting, so nothing reads it; `--help` lists them all", is_typo=False
        )


def _judge_form(
    name: str, setting: str, known: Collection[str], of_projects: Collection[str]
) -> Iterator[Unknown]:
    """A setting's own name, with what may follow it."""
    base, mark, _ = name.partition("__")
    if base not in known and setting not in SECRETS:
        yield Unknown(f"{name}: {setting} is no secret, and can't come from a file", is_typo=True)
    elif mark and setting not in of_projects:
        yield Unknown(
            f"{name}: {setting} is one for all projects; take the suffix off", is_typo=True
        )


def _is_near(name: str, known: str) -> bool:
    """Whether a typo or two make one of the other; case alone counts as one."""
    return count_edits(name.upper(), known, MAX_EDITS) <= MAX_EDITS


def count_edits(one: str, other: str, most: int) -> int:
    """Letters to add, drop, change or swap with their neighbour; `most` + 1 where it takes more.

    >>> count_edits("OUTPUT_TEMPALTE", "OUTPUT_TEMPLATE", 2), count_edits("HOME", "PORT", 2)
    (1, 3)
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before, row = list[int](), list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, right in enumerate(other, 1):
            edits = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                edits = min(edits, earlier[j - 2] + 1)
            row.append(edits)
    return min(row[-1], most + 1)
