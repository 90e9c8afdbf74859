"""`--where`: which rows of an export are written. Pure."""

from dataclasses import dataclass

from receiver.errors import ExportError
from receiver.outputs.outcomes import OUTCOMES
from receiver.submissions.proof import MISSING
from workers.export.columns import INVALID

KNOWN = (*OUTCOMES, MISSING, INVALID)


@dataclass(frozen=True)
class OutcomeFilter:
    """Rows with one of these outcomes, or with none of them."""

    outcomes: frozenset[str] = frozenset()
    is_excluding: bool = True

    @classmethod
    def parse(cls, text: str | None) -> "OutcomeFilter":
        """Read `outcome=error,missing` or `outcome!=ok`. Raises ExportError.

        >>> OutcomeFilter.parse("outcome!=ok").takes("error")
        True
        """
        if text is None:
            return cls()
        name, found, values = text.partition("=")
        is_excluding = name.endswith("!")
        outcomes = frozenset(value.strip() for value in values.split(","))
        unknown = sorted(outcomes - set(KNOWN))
        if not found or name.removesuffix("!").strip() != "outcome":
            raise ExportError(f"--where takes outcome=NAME or outcome!=NAME, not {text!r}")
        if unknown:
            raise ExportError(f"--where: {unknown[0]!r} is no outcome; they are {', '.join(KNOWN)}")
        return cls(outcomes, is_excluding)

    def takes(self, outcome: str) -> bool:
        return (outcome in self.outcomes) is not self.is_excluding
