import doctest

from receiver.service import restarts


def test_examples_hold() -> None:
    found = doctest.testmod(restarts)
    assert (found.attempted, found.failed) == (2, 0)


def test_one_long_run_begins_the_count_anew() -> None:
    count = 0
    for lived_s in (0, 0, 0, 29.9):
        count = restarts.count_quick_ends(count, lived_s)
    assert restarts.plan_restart_s(count) == 4.0
    assert restarts.plan_restart_s(restarts.count_quick_ends(count, 0)) is None
    assert restarts.plan_restart_s(restarts.count_quick_ends(count, 30.0)) == 0.5
