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

NOTICE, QUEUE = "gbr:notice:", "gbr:notices:"
# The prefixes of the two ledgers' keys, of the batches and of the submissions.
LEDGERS = ("gbr:", "gbr:submissions:")
MAX_BACK_MS = 90_000_000  # that a clock goes back: a queue may then end before an old notice of its
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


def entries_of(state: State) -> dict[str, Fields]:
    """Those of both ledgers, whose names differ."""
    batches, submissions = (hashes(state, f"{ledger}entry:") for ledger in LEDGERS)
    return batches | submissions


def scores(state: State, key: str) -> dict[str, int]:
    stored = state.get(key)
    found = stored.value if stored else {}
    return {name: int(score) for name, score in found.items()} if isinstance(found, dict) else {}


def notices_of(state: State) -> dict[str, Fields]:
    return hashes(state, NOTICE)


def check_state(state: State, now_ms: int) -> None:
    """Raises BrokenPromiseError."""
    for ledger in LEDGERS:
        _check_ledger(state, ledger)
    tokens = [one["token"] for one in entries_of(state).values() if "token" in one]
    require(len(tokens) == len(set(tokens)), "no two leases have one token", tokens)
    _check_notices(state, now_ms)


def _check_ledger(state: State, ledger: str) -> None:
    entries = hashes(state, f"{ledger}entry:")
    pending = {batch for batch, one in entries.items() if one["state"] not in ENDED}
    due = scores(state, f"{ledger}due")
    require(due.keys() == pending, "what is pending has a due time", due.keys() ^ pending)
    for batch, one in entries.items():
        is_leased = one["state"] == "leased"
        require(is_leased == ("token" in one), "who holds a batch is known", (batch, one))
        is_kept = state[f"{ledger}entry:{batch}"].expires_ms is None
        require(is_kept == (batch in pending), "only what has ended expires", (batch, one))


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
        old, new = entries_of(before), entries_of(after)
        for batch in old.keys() & new.keys():
            _check_reopening(call, batch, old[batch], new[batch])
            _check_attempts(call, batch, old[batch], new[batch])
        _check_owed(before, call, after)
        _check_woken(call, new)

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
    if is_its_own and _begins_anew(call, before, after):
        require(after["attempts"] == "0", "what did all that it could begins anew", call)
        return
    is_error = call.name == "postpone" and call.args[4] == "attempts" and call.reply != "lost"
    is_crash = call.name == "claim" and before["state"] == "leased" and after != before
    is_crash = is_crash and "leaving" not in before
    expected = int(is_its_own and (is_error or is_crash))
    require(more == expected, "attempts are errors and crashes, each once", (call, before, after))


def _begins_anew(call: Call, before: Fields, after: Fields) -> bool:
    """A submission that waits for what others do, or of which a person has said more."""
    is_settled = call.name == "postpone" and call.args[4] == "settled"
    is_told_more = call.name == "finish" and call.reply == 1 and after["state"] == "open"
    require(not is_told_more or before.get("again") == "1", "only a word opens it again", call)
    return (is_settled and call.reply != "lost") or is_told_more


def _check_woken(call: Call, entries: Mapping[str, Fields]) -> None:
    """Who sent a batch is due, or looks again, from the step on that ended it."""
    at = {"finish": 6, "bury": 5}.get(call.name)
    if at is None or call.reply != 1 or call.args[at] not in entries:
        return
    one = entries[call.args[at]]
    is_heard = one["state"] in ENDED or "again" in one or one["rung_until"] == "0"
    require(is_heard, "a batch that ended wakes its submission", (call, one))


def _ended(before: State, after: State) -> Iterator[tuple[str, Fields]]:
    """Batches that ended in this step."""
    old = entries_of(before)
    for batch, one in entries_of(after).items():
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
        if one["state"] == "buried" or call.args[7:]
    }
    if call.name == "finish" and call.reply == 1:  # also of one that goes on
        owed |= {(target, call.args[0]) for target in call.targets if call.args[7:]}
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
