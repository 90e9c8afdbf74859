import pytest

from receiver.retry import jittered, plan_retry_s, plan_wait_s


@pytest.mark.parametrize(
    ("waits", "delay_s"), [(0, 1), (1, 2), (5, 32), (9, 512), (10, 600), (300, 600), (10_000, 600)]
)
def test_waits_double_up_to_ten_minutes(waits: int, delay_s: float) -> None:
    assert plan_wait_s(waits) == delay_s


@pytest.mark.parametrize(
    ("attempts", "base_s", "asked_s", "delay_s"),
    [
        (0, 5, None, 5),
        (1, 5, None, 20),
        (2, 5, None, 80),
        (3, 5, None, 320),
        (9, 5, None, 3600),
        (10_000, 5, None, 3600),
        (0, 0.2, None, 0.2),
        (0, 5, 60.0, 60),
        (3, 5, 60.0, 320),
        (0, 5, 0.0, 5),
    ],
)
def test_retries_grow_fourfold(attempts: int, base_s: float, asked_s: float | None, delay_s: float) -> None:
    assert plan_retry_s(attempts, base_s, asked_s) == delay_s


def test_jitter_adds_up_to_a_fifth() -> None:
    delays = {jittered(10) for _ in range(100)}
    assert len(delays) > 1
    assert all(10 <= delay <= 12 for delay in delays)
