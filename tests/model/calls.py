"""One call of one script: what the state machine makes, what a trace holds, what the model judges."""

from dataclasses import dataclass
from typing import Any

from tests.model.redis_state import text

Reply = str | int | list[Any] | None


@dataclass(frozen=True)
class Call:
    name: str  # of the script
    keys: tuple[str, ...]
    args: tuple[str, ...]
    now_ms: int  # what TIME gave the script
    reply: Reply

    @property
    def targets(self) -> tuple[str, ...]:
        """Digests of the targets whose queues are the keys from the eighth on."""
        return tuple(key.removeprefix("gbr:notices:") for key in self.keys[7:])

    def __str__(self) -> str:
        keys = f" targets {', '.join(self.targets)}" if self.targets else ""
        return f"{self.name}{self.args!r}{keys} at {self.now_ms} gave {self.reply!r}"


def readable(reply: Any) -> Reply:
    """A client's answer with words in place of bytes."""
    if isinstance(reply, bytes):
        return text(reply)
    if isinstance(reply, list):
        return [readable(part) for part in reply]
    answer: str | int | None = reply
    return answer
