"""Half hours, and what was counted in them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

SLOT_S = 1800


@dataclass(frozen=True)
class Slot:
    """Half an hour."""

    began_s: int  # Unix time
    counts: Mapping[str, float]  # by the fields of `metrics`

    def total(self, *fields: str) -> float:
        """The sum of these fields; a field that ends with `:` stands for all that begin with it."""
        prefixes = tuple(field for field in fields if field.endswith(":"))
        chosen = (
            count
            for name, count in self.counts.items()
            if name in fields or name.startswith(prefixes)
        )
        return sum(chosen)
