from receiver.status.rate_limit import BURST, REFILL_S, RateLimit


def test_so_many_are_heard_and_then_one_a_while() -> None:
    guesses = RateLimit(0)
    for _ in range(BURST):
        assert guesses.wait_s(0) == 0
        guesses.miss(0)
    assert guesses.wait_s(0) == REFILL_S
    assert guesses.wait_s(REFILL_S) == 0
    guesses.miss(REFILL_S)
    assert guesses.wait_s(REFILL_S) == REFILL_S


def test_quiet_fills_it_up_and_no_further() -> None:
    guesses = RateLimit(0)
    guesses.miss(0)
    later = 1e6
    for _ in range(BURST):
        assert guesses.wait_s(later) == 0
        guesses.miss(later)
    assert guesses.wait_s(later) > 0
