"""Which mutants of the Lua scripts live through the tests of the inbox and of its users."""

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.mutation.lua import Mutant, make_mutants
from tests.mutation.running import ROOT, copy_checkout, passes
from tests.mutation.survivors import Score, Survivor, read_excused

SCRIPTS = Path("receiver/inbox/lua")
# Those of which every mutant dies or is excused. The others still have some that nobody looked at.
HELD_SCRIPTS = ("finish", "leave", "renew", "renew_reconcile_lock")
LEDGER = (
    "tests/receiver/inbox/test_ledger.py",
    "tests/receiver/inbox/test_entries.py",
    "tests/receiver/inbox/test_outages.py",
    "tests/receiver/inbox/test_queries.py",
)
NOTICES = ("tests/receiver/notices/test_queue.py", "tests/receiver/notices/test_outbox.py")
RECONCILE = (
    "tests/receiver/recovery/test_reconcile_lock.py",
    "tests/receiver/recovery/test_running_batches.py",
    "tests/receiver/recovery/test_reconcile.py",
)
METRICS = ("tests/receiver/telemetry/metrics",)
HEALTH = ("tests/receiver/inbox/test_redis_health_writes.py",)
WHOLE = ("tests/receiver/inbox/test_redispatch.py", "tests/receiver/cli/test_inbox.py")
MODEL = "tests.mutation.model_run"
PYTEST = ("pytest", "-x", "-q", "-p", "no:cacheprovider")
# Those most likely to notice, before the rest: the first failure ends a mutant's run.
FIRST = {
    "count": METRICS,
    "probe": HEALTH,
    **dict.fromkeys(("claim_notice", "settle_notice", "enqueue_notice"), NOTICES),
    **dict.fromkeys(("retry_notices", "purge_notices"), NOTICES),
    **dict.fromkeys(("acquire_reconcile_lock", "renew_reconcile_lock"), RECONCILE),
    **dict.fromkeys(("release_reconcile_lock", "enqueue_overdue_notices"), RECONCILE),
}


def list_mutants() -> list[Mutant]:
    """Every mutant of every script."""
    paths = sorted((ROOT / SCRIPTS).glob("*.lua"))
    return [one for path in paths for one in make_mutants(path.stem, path.read_text())]


def killers_of(script: str) -> tuple[Sequence[str], Sequence[str]]:
    """The tests that are to kill a script's mutants: those before the model's run, and after it."""
    if script == "probe":
        return HEALTH, ()
    first = FIRST.get(script, LEDGER)
    return first, [
        path for path in (*LEDGER, *NOTICES, *RECONCILE, *METRICS, *WHOLE) if path not in first
    ]


def is_survivor(copy: Path, script: str) -> bool:
    """Whether a copy with a mutant passes everything."""
    first, last = killers_of(script)
    return passes(copy, *PYTEST, *first) and (
        not last or (passes(copy, MODEL) and passes(copy, *PYTEST, *last))
    )


def run_lua(mutants: Sequence[Mutant], jobs: int, report: Callable[[str], None]) -> Score:
    """Try mutants, each in a copy of the checkout.

    Raises RuntimeError where the tests fail without any.
    """
    killed, survivors = list[Survivor](), list[Survivor]()
    with ExitStack() as stack, ThreadPoolExecutor(jobs) as pool:
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for _ in range(jobs):
            copies.put(stack.enter_context(copy_checkout()))
        scripts = sorted({one.script for one in mutants})
        if not all(pool.map(lambda script: _lives(copies, script, None), scripts)):
            raise RuntimeError("the tests fail without any mutant")
        alive = pool.map(lambda one: _lives(copies, one.script, one.text), mutants)
        for number, (mutant, is_alive) in enumerate(zip(mutants, alive, strict=True), 1):
            found = Survivor(f"{mutant.script}.lua", mutant.change)
            (survivors if is_alive else killed).append(found)
            if is_alive:
                report(f"lives: {mutant.script}.lua:{mutant.line}\n{mutant.change}")
            if number % 50 == 0:
                report(f"{number} of {len(mutants)}")
    return Score(killed, survivors, read_excused())


def _lives(copies: "queue.SimpleQueue[Path]", script: str, text: str | None) -> bool:
    """Whether a script with this text passes everything, in one of the copies."""
    copy = copies.get()
    path = copy / SCRIPTS / f"{script}.lua"
    original = path.read_text()
    try:
        path.write_text(original if text is None else text)
        return is_survivor(copy, script)
    finally:
        path.write_text(original)
        copies.put(copy)
