"""`rq://queue/module.function`: a function that other RQ workers run for each notice. Pure."""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

Serializer = Literal["json", "pickle"]
OWN_QUEUE = "gemini-batches"  # of this project's workers
SCHEME = "rq://"
_ADDRESS = re.compile(
    r"rq://(?P<queue>[A-Za-z0-9][A-Za-z0-9_.-]{0,99})"
    r"/(?P<function>[A-Za-z_]\w{0,99}(?:\.[A-Za-z_]\w{0,99}){1,9})"
    r"(?:\?(?P<options>[a-z0-9=&]+))?",
    re.ASCII,
)
_TIMEOUT = re.compile(r"[1-9]\d{0,6}", re.ASCII)


@dataclass(frozen=True)
class RqFunction:
    """What is enqueued, and where. Nothing of this project ever imports the function."""

    queue: str
    function: str  # its dotted path
    timeout_s: int = 180  # after which RQ stops the job; RQ's own default
    serializer: Serializer = "json"

    @classmethod
    def parse(cls, text: str) -> "RqFunction":
        """Raises ValueError with what was expected."""
        found = _ADDRESS.fullmatch(text)
        options = dict(parse_qsl(found["options"] or "", keep_blank_values=True)) if found else {}
        timeout, serializer = options.pop("timeout", "180"), options.pop("serializer", "json")
        is_known = serializer in {"json", "pickle"} and _TIMEOUT.fullmatch(timeout)
        if not found or options or not is_known:
            raise ValueError(
                "expected rq://QUEUE/MODULE.FUNCTION such as rq://mail/shop.tasks.tell_customer,"
                " where needed with ?timeout=SECONDS&serializer=pickle"
            )
        if found["queue"] == OWN_QUEUE:
            raise ValueError(
                f"{OWN_QUEUE} is the queue of this project's workers, which run nothing else: name"
                " a queue of your own"
            )
        stated: Serializer = "pickle" if serializer == "pickle" else "json"
        return cls(found["queue"], found["function"], int(timeout), stated)

    @property
    def name(self) -> str:
        """Without its options, which may change while notices wait."""
        return f"{SCHEME}{self.queue}/{self.function}"
