"""Items side by side, results in order."""

import threading
import time

import pytest

import quantmcu.parallel
from quantmcu.parallel import in_parallel


@pytest.mark.parametrize("cores", [1, 3])
def test_results_come_in_order(monkeypatch, cores):
    monkeypatch.setattr(quantmcu.parallel, "_available_cores", lambda: cores)

    def square(number):
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(in_parallel(square, range(20))) == [n * n for n in range(20)]
    assert list(in_parallel(square, [])) == []


def test_items_run_side_by_side_a_few_ahead(monkeypatch):
    monkeypatch.setattr(quantmcu.parallel, "_available_cores", lambda: 2)
    both = threading.Barrier(2, timeout=20)  # a single thread would wait for ever
    taken = []

    def items():
        for number in range(40):
            taken.append(number)
            yield number

    results = in_parallel(lambda number: both.wait() * 0 + number, items())
    assert next(results) == 0
    assert len(taken) <= 4
    assert list(results) == list(range(1, 40))


@pytest.mark.parametrize("cores", [1, 3])
def test_an_error_reaches_the_caller(monkeypatch, cores):
    monkeypatch.setattr(quantmcu.parallel, "_available_cores", lambda: cores)
    results = in_parallel(lambda number: 12 // (3 - number), range(6))
    assert [next(results) for _ in range(3)] == [4, 6, 12]
    with pytest.raises(ZeroDivisionError):
        next(results)
