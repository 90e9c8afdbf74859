"""The mutants that may live: `survivors.toml` names each with the reason why no test could kill it."""

import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True, order=True)
class Survivor:
    """A mutant by what it changes, since numbers move with every edit."""

    where: str  # "claim.lua", or "receiver.outputs.paths.Namer.name"
    change: str  # the lines that differ: "- before\n+ after"


@dataclass(frozen=True)
class Score:
    """What became of the mutants that ran."""

    killed: Collection[Survivor]
    survivors: Collection[Survivor]
    excused: dict[Survivor, str]

    @property
    def unexcused(self) -> list[Survivor]:
        return sorted(one for one in self.survivors if one not in self.excused)

    @property
    def stale(self) -> list[Survivor]:
        """Those on the list that were killed."""
        return sorted(self.excused.keys() & set(self.killed) - set(self.survivors))

    def describe(self) -> str:
        killed, total = len(self.killed), len(self.killed) + len(self.survivors)
        percent = 100 * killed / total if total else 0
        excused = len(self.survivors) - len(self.unexcused)
        return (
            f"{killed} of {total} mutants killed ({percent:.1f} %), {excused} excused,"
            f" {len(self.unexcused)} to look at"
        )


def read_excused(path: Path = LIST) -> dict[Survivor, str]:
    """The list, with the reason of each. Raises ValueError for one without a reason."""
    groups = tomllib.loads(path.read_text()).get("excused", [])
    excused = dict[Survivor, str]()
    for group in groups:
        if not group["reason"].strip():
            raise ValueError(f"no reason for {group['where']}")
        for change in group["changes"]:
            excused[Survivor(group["where"], change.strip())] = group["reason"]
    return excused
