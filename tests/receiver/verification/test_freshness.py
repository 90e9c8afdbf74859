import pytest

from receiver.errors import SignatureError
from receiver.verification.freshness import require_fresh


@pytest.mark.parametrize("now", [700, 1000, 1299.9, 1300])
def test_five_minutes_are_fresh(now: float) -> None:
    require_fresh("it", 1000, now)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (699, "it is 301 s in the future"),
        (1301, "it is 301 s in the past"),
        (1300.01, "it is 301 s in the past"),
    ],
)
def test_later_moments_name_the_clock(now: float, words: str) -> None:
    with pytest.raises(SignatureError) as refusal:
        require_fresh("it", 1000, now)
    assert refusal.value.reason == f"{words}: check the clock of this machine"
