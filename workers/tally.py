"""What one attempt tells the counters: how long its stages took, and what went through it."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Literal, Self

import redis

from receiver import metrics
from receiver.counters import Counters
from receiver.manifests import Manifest
from workers.lease import clock_s


class Tally:
    """Gathers during a `with`, and writes once at its end, whatever became of the attempt."""

    def __init__(self, client: "redis.Redis", began_s: float) -> None:
        """`began_s` is what `clock_s` said before the claim."""
        self._counters = Counters(client)
        self._began_s = self._stage_began_s = began_s
        self._read_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._read_bytes:
            self._counters.add(metrics.DOWNLOADED, amount=self._read_bytes)
        self._counters.flush()

    def count(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks; the first one ends the stage `ask`."""
        for chunk in chunks:
            if not self._read_bytes:
                self.end_stage("ask")
            self._read_bytes += len(chunk)
            yield chunk

    def end_stage(self, stage: Literal["ask", "split", "store"]) -> None:
        now_s = clock_s()
        self._counters.observe(metrics.STAGES, now_s - self._stage_began_s, stage)
        self._stage_began_s = now_s

    def end_whole(self, manifest: Manifest) -> None:
        """The batch is stored: this attempt wrote its manifest."""
        counters = self._counters
        counters.observe(metrics.STAGES, clock_s() - self._began_s, "whole")
        for outcome, count in manifest.outcomes.items():
            counters.add(metrics.RESULTS, outcome, amount=count)
        counters.add(metrics.MISSING, amount=manifest.missing or 0)
        counters.add(metrics.STORED_OBJECTS, amount=manifest.objects.count)
        counters.add(metrics.STORED_BYTES, amount=manifest.objects.bytes)
