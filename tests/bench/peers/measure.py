"""One table of what each tool takes, and one of what it leaves unproven."""

from collections.abc import Iterator, Sequence

from tests.bench.generator import Results, cached_results
from tests.bench.peers.subjects import PEERS, Peer
from tests.bench.rounds import Say, run_rounds, runnable
from tests.bench.stage import Stage
from tests.bench.tables import figures_table, title


def choose(names: Sequence[str]) -> list[Peer]:
    return [peer for peer in PEERS if not names or peer.subject.name in names]


def measure(
    stage: Stage, peers: Sequence[Peer], results: Results, rounds: int, say: Say
) -> Iterator[str]:
    """Gives the tables. Those that can't run here are in the second one, with why."""
    reasons: dict[str, str] = {}
    subjects = [peer.subject for peer in peers]

    def keep(text: str) -> None:
        label, _, reason = text.removeprefix("skipped: ").partition(": ")
        reasons[label] = reason
        say(text)

    able = runnable(stage, subjects, results, keep)
    say("warming up")
    run_rounds(stage, able, cached_results(stage.data, results.kind, 1), 1, lambda _: None)
    found = run_rounds(stage, able, results, rounds, say)
    yield title(results, rounds)
    yield figures_table(able, found, results)
    for peer in peers:
        label = peer.subject.label
        if label in reasons:
            yield f"{label}\n  did not run: {reasons[label]}"
        else:
            yield f"{label}\n  did: {peer.did}\n  unproven: {peer.unproven}"
