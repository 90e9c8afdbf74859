"""What must hold whatever happens, asked of what really stands in Redis: the model is not needed.

`check_state` looks at one moment, `Promises` at the steps between two of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.model.calls import Call
from tests.model.entry import ENDED
from tests.model.ledger import unpack
from tests.model.outbox import target_of
from tests.model.redis_state import State

ENTRY, NOTICE, QUEUE = "gbr:entry:", "gbr:notice:", "gbr:notices:"
MAX_BACK_MS = 600_000  # that a clock goes back: a queue may then end before an old notice of its
ASKED_NOTICES = {"enqueue_notice", "enqueue_overdue_notices"}
TOKEN_AT = {"claim": 0, "claim_notice": 1}  # where it is in the reply
Fields = Mapping[str, str]


class BrokenPromiseError(AssertionError):
    """What stands in Redis breaks a promise of the ledger."""


def require(holds: object, promise: str, subject: object) -> None:
    if not holds:
        raise BrokenPromiseError(f"{promise}: {subject}")


def hashes(state: State, prefix: str) -> dict[str, Fields]:
    """Every hash below a prefix, by the rest of its key."""
    return {
        key.removeprefix(prefix): {name: str(word) for name, word in stored.value.items()}
        for key, stored in state.items()
        if key.startswith(prefix) and isinstance(stored.value, dict)
    }


def scores(state: State, key: str) -> dict[str, int]:
    stored = state.get(key)
    found = stored.value if stored else {}
    return {name: int(score) for name, score in found.items()} if isinstance(found, dict) else {}


def notices_of(state: State) -> dict[str, Fields]:
    return hashes(state, NOTICE)


def check_state(state: State, now_ms: int) -> None:
    """Raises BrokenPromiseError."""
    entries = hashes(state, ENTRY)
    pending = {batch for batch, one in entries.items() if one["state"] not in ENDED}
    due = scores(state, "gbr:due")
    require(due.keys() == pending, "what is pending has a due time", due.keys() ^ pending)
    tokens = [one["token"] for one in entries.values() if "token" in one]
    require(len(tokens) == len(set(tokens)), "no two leases have one token", tokens)
    for batch, one in entries.items():
        is_leased = one["state"] == "leased"
        require(is_leased == ("token" in one), "who holds a batch is known", (batch, one))
        is_kept = state[ENTRY + batch].expires_ms is None
        require(is_kept == (batch in pending), "only what has ended expires", (batch, one))
    _check_notices(state, now_ms)


def _check_notices(state: State, now_ms: int) -> None:
    targets = state["gbr:notices"].value if "gbr:notices" in state else frozenset()
    for name, one in notices_of(state).items():
        target, ends_ms = target_of(name), state[NOTICE + name].expires_ms or 0
        if "died" not in one and ends_ms - now_ms > MAX_BACK_MS:
            is_due = name in scores(state, QUEUE + target)
            require(is_due, "a notice that is owed has a due time", name)
            require(target in targets, "who is owed a notice is listed", name)


@dataclass
class Promises:
    last_token: int = 0
    claims: dict[int, str] = field(default_factory=dict)  # ids by token

    def check(self, before: State, call: Call, after: State) -> None:
        """Raises BrokenPromiseError."""
        check_state(after, call.now_ms)
        self.check_token(call)
        old, new = hashes(before, ENTRY), hashes(after, ENTRY)
        for batch in old.keys() & new.keys():
            _check_reopening(call, batch, old[batch], new[batch])
            _check_attempts(call, batch, old[batch], new[batch])
        _check_owed(before, call, after)

    def check_token(self, call: Call) -> None:
        """Raises BrokenPromiseError."""
        if call.name not in TOKEN_AT or not isinstance(call.reply, list):
            return
        token = int(call.reply[TOKEN_AT[call.name]])
        claim_id = "".join(call.args[4:])
        if claim_id and self.claims.get(token) == claim_id:
            return  # its answer was lost, and it was told again
        require(token > self.last_token, "a fencing token only grows", call)
        self.last_token, self.claims[token] = token, claim_id


def _check_reopening(call: Call, batch: str, before: Fields, after: Fields) -> None:
    if before["state"] not in ENDED or after["state"] in ENDED:
        return
    asked = {"done": {"done", "all"}, "buried": {"all"}}[before["state"]]
    arrivals = unpack(call.args[3]) if call.name == "accept" else []
    require(
        any(one.batch == batch and one.reopen in asked for one in arrivals),
        "an ended entry opens only when asked",
        call,
    )


def _check_attempts(call: Call, batch: str, before: Fields, after: Fields) -> None:
    more = int(after["attempts"]) - int(before["attempts"])
    is_opened = before["state"] in ENDED and after["state"] == "open"
    if is_opened:
        require(after["attempts"] == "0", "an opened entry begins anew", call)
        return
    is_its_own = bool(call.args) and call.args[0] == batch
    is_error = call.name == "postpone" and call.args[4] == "attempts" and call.reply != "lost"
    is_crash = call.name == "claim" and before["state"] == "leased" and after != before
    is_crash = is_crash and "leaving" not in before
    expected = int(is_its_own and (is_error or is_crash))
    require(more == expected, "attempts are errors and crashes, each once", (call, before, after))


def _ended(before: State, after: State) -> Iterator[tuple[str, Fields]]:
    """Batches that ended in this step."""
    old = hashes(before, ENTRY)
    for batch, one in hashes(after, ENTRY).items():
        if one["state"] in ENDED and (batch not in old or old[batch]["state"] not in ENDED):
            yield batch, one


def _check_owed(before: State, call: Call, after: State) -> None:
    """A notice is owed exactly when a batch ended, to each target, due at once."""
    if call.name in ASKED_NOTICES:
        return
    owed = {
        (target, batch)
        for batch, one in _ended(before, after)
        for target in call.targets
        if one["state"] == "buried" or call.args[6:]
    }
    old = notices_of(before)
    enqueued = {
        name: one
        for name, one in notices_of(after).items()
        if name not in old or old[name]["owed"] != one["owed"]
    }
    found = {(target_of(name), one["batch"]) for name, one in enqueued.items()}
    if call.now_ms in {int(one["owed"]) for one in old.values()}:
        found |= owed  # the same one, made anew within the same millisecond
    require(found == owed, "a notice is owed exactly when a batch ended", (call, found ^ owed))
    for name in enqueued:
        is_due = scores(after, QUEUE + target_of(name)).get(name) == call.now_ms
        require(is_due, "a new notice is due at once", (name, call))
