"""How many wrong tokens are listened to: a bucket of tries that fills up again, whoever tries. Pure."""

BURST = 20
REFILL_S = 3.0


class RateLimit:
    """Takes no more memory for a million wrong tokens than for one."""

    def __init__(self, now_s: float) -> None:
        self._left, self._seen_s = float(BURST), now_s

    def wait_s(self, now_s: float) -> float:
        """How long nobody is listened to; 0 when the next try is free."""
        self._refill(now_s)
        return max(0.0, (1 - self._left) * REFILL_S)

    def miss(self, now_s: float) -> None:
        """A wrong token was shown."""
        self._refill(now_s)
        self._left = max(0.0, self._left - 1)

    def _refill(self, now_s: float) -> None:
        self._left = min(float(BURST), self._left + (now_s - self._seen_s) / REFILL_S)
        self._seen_s = now_s
