"""Variables that look like settings and are none, so that no typo goes unnoticed.

A name close to a setting that is not set stops the start. A name that merely begins as our settings
do may belong to another program, and is a warning; so is one close to a setting that is set too.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from receiver.settings.secret_files import MARK

OURS = ("GEMINI_", "OUTPUT_", "NOTIFY_")  # of no other program, but for these:
OTHERS = re.compile(
    r"GEMINI_(CLI|TELEMETRY|SANDBOX)(_.*)?|GEMINI_(MODEL|SYSTEM_MD|WRITE_SYSTEM_MD)"
    r"|NOTIFY_SOCKET"  # systemd's
    r"|.*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP)(_.*)?)?)"  # Kubernetes', Docker's
)
SHORTEST = 8  # characters of a name whose typos are searched for: not HOST and PORT
MAX_EDITS = 2


@dataclass(frozen=True)
class Unknown:
    """A variable that nothing reads."""

    text: str  # the message; never holds the value
    is_typo: bool  # it stops the start


@dataclass(frozen=True)
class KnownNames:
    """The names that are read."""

    settings: frozenset[str]  # all, without suffixes
    of_projects: frozenset[str]  # those that take a project's suffix
    of_targets: frozenset[str]  # those that take the suffix of a target of notices
    secrets: frozenset[str]  # those that a file may hold

    def find_unknown(self, environ: Mapping[str, str]) -> list[Unknown]:
        """The variables that are set, look like settings and are none."""
        stated = sorted(name for name, value in environ.items() if value.strip())
        return [found for name in stated for found in self._judge(name, set(stated))]

    def _judge(self, name: str, stated: set[str]) -> Iterator[Unknown]:
        base, mark, suffix = name.partition("__")
        setting = base if base in self.settings else base.removesuffix(MARK)
        if setting in self.settings:
            yield from self._judge_form(name, setting)
            return
        if OTHERS.fullmatch(name):
            return

        if near := self._find_near(base):
            meant = f"{near}{mark}{suffix}"
            yield Unknown(f"{name}: is no setting; did you mean {meant}?", meant not in stated)
        elif longer := _find_longest_beginning(base, self.of_projects | self.of_targets):
            meant = f"{longer}__{base.removeprefix(f'{longer}_')}"
            owner = "project" if longer in self.of_projects else "target"
            yield Unknown(
                f"{name}: is no setting; did you mean {meant}, of a {owner} of that name?",
                is_typo=False,
            )
        elif name.startswith(OURS):
            yield Unknown(
                f"{name}: is no setting, so nothing reads it; `gemini-batch-receiver settings`"
                " lists them all",
                is_typo=False,
            )

    def _judge_form(self, name: str, setting: str) -> Iterator[Unknown]:
        """Judge a setting's own name with what follows it."""
        base, mark, _ = name.partition("__")
        if base not in self.settings and setting not in self.secrets:
            yield Unknown(
                f"{name}: {setting} is no secret, and can't come from a file: set {setting}",
                is_typo=True,
            )
        elif mark and setting not in self.of_projects | self.of_targets:
            kind = "targets" if setting.startswith("NOTIFY_") else "projects"
            yield Unknown(
                f"{name}: {setting} is one for all {kind}; take the suffix off", is_typo=True
            )

    def _find_near(self, base: str) -> str | None:
        """The setting that a typo or two make this of; case alone counts as one."""
        names = (name for name in sorted(self.settings) if len(name) >= SHORTEST)
        upper = base.upper()
        return next((n for n in names if count_edits(upper, n, MAX_EDITS) <= MAX_EDITS), None)


def _find_longest_beginning(base: str, names: Iterable[str]) -> str | None:
    fitting = [name for name in names if base.startswith(f"{name}_")]
    return max(fitting, key=len, default=None)


def count_edits(one: str, other: str, limit: int) -> int:
    """Letters to add, drop, change or swap with their neighbour; `limit` + 1 where it takes more.

    >>> count_edits("OUTPUT_TEMPALTE", "OUTPUT_TEMPLATE", 2), count_edits("HOME", "PORT", 2)
    (1, 3)
    """
    if abs(len(one) - len(other)) > limit:
        return limit + 1

    before, row = list[int](), list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, right in enumerate(other, 1):
            edits = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                edits = min(edits, earlier[j - 2] + 1)
            row.append(edits)
        if min(row) > limit and min(before) >= limit:  # a swap continues the row before
            return limit + 1

    return min(row[-1], limit + 1)
