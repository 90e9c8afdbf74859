import threading
from collections.abc import Iterator

import pytest

from receiver.storage.ordered_map import ordered_map


def test_results_keep_the_order_of_the_items() -> None:
    first_may_end = threading.Event()

    def double(number: int) -> int:
        if number == 0:
            assert first_may_end.wait(10)  # so that it ends after the others
        elif number == 5:
            first_may_end.set()
        return 2 * number

    assert list(ordered_map(double, range(6), threads=6)) == [0, 2, 4, 6, 8, 10]


def test_window_bounds_what_is_read_ahead() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    results = ordered_map(lambda number: number, items(), threads=2, window=4)
    for number in range(50):
        assert next(results) == number
        assert taken <= number + 5
    results.close()  # type: ignore[attr-defined] # a generator's


def test_error_is_raised_in_its_place_and_ends_the_rest() -> None:
    begun = list[int]()
    failed = threading.Event()

    def fail_at_two(number: int) -> int:
        begun.append(number)
        if number == 2:
            failed.set()
            raise ValueError("two")
        if number > 2:
            assert failed.wait(10)
        return number

    results = ordered_map(fail_at_two, range(100), threads=1, window=10)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)
    assert len(begun) <= 13


def test_items_are_taken_in_the_thread_of_the_consumer() -> None:
    def items() -> Iterator[str]:
        yield threading.current_thread().name

    assert list(ordered_map(str, items())) == [threading.current_thread().name]
