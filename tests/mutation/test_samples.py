"""The short form: a few mutants of each kind. `python -m tests.mutation` tries all."""

import pytest

from tests.mutation.__main__ import draw
from tests.mutation.lua_run import list_mutants, run_lua
from tests.mutation.python_run import run_python
from tests.programs import require_module


@pytest.mark.timeout(600)
def test_sample_of_the_scripts_mutants_dies() -> None:
    mutants = [one for one in list_mutants() if one.script == "finish"]
    score = run_lua(draw(mutants, 2, seed=0), 1, print)
    assert (score.unexcused, score.stale) == ([], [])
    assert score.killed


@pytest.mark.timeout(600)
def test_mutants_of_one_function_die() -> None:
    require_module("mutmut")
    module = "receiver.verification.jwts"
    score = run_python([module], 1, [f"{module}.x_require_fresh__mutmut_*"])
    assert (score.unexcused, score.stale) == ([], [])
    assert score.killed
