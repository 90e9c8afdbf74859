"""Which mutants of the pure modules live through their tests; mutmut makes and runs them."""

import ast
import difflib
import json
import subprocess
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from tests.mutation.running import ROOT, copy_checkout, environment
from tests.mutation.survivors import Score, Survivor, read_excused

# Each with the tests that are to kill its mutants.
MODULES = {
    "receiver.verification.signatures": "tests/receiver/verification/test_signatures.py"
    " tests/receiver/verification/test_signatures_hostile.py",
    "receiver.verification.jwts": "tests/receiver/verification/test_jwts.py",
    "receiver.verification.events": "tests/receiver/verification/test_events.py",
    "receiver.batch_names": "tests/receiver/test_batch_names.py",
    "receiver.outputs.paths": "tests/receiver/outputs/test_paths.py",
    "receiver.outputs.name_codec": "tests/receiver/outputs/test_name_codec.py",
    "receiver.outputs.templates": "tests/receiver/outputs/test_paths.py",
    "receiver.outputs.prices": "tests/receiver/outputs/test_prices.py",
    "receiver.outputs.judgement": "tests/receiver/outputs/test_judgement.py",
    "workers.results.result_counts": "tests/workers/results/test_result_counts.py",
    "workers.results.cost": "tests/workers/results/test_cost.py"
    " tests/workers/results/test_usages.py",
    "workers.results.usages": "tests/workers/results/test_usages.py",
    "workers.results.rules": "tests/workers/results/test_parser.py"
    " tests/workers/results/test_rules.py",
    "workers.results.doubts": "tests/workers/results/test_doubts.py",
    "workers.download.resume_policy": "tests/workers/download/test_resume_policy.py",
    "receiver.submissions.decisions": "tests/receiver/submissions/test_decisions.py",
}
SETTINGS = """
[tool.mutmut]
source_paths = ["receiver", "workers"]
only_mutate = {modules}
also_copy = ["receiver", "workers", "deploy", "README.md", "CHANGELOG.md"]
pytest_add_cli_args = ["-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = {tests}
"""
LIVES, NOT_TESTED = 0, 33  # mutmut's codes; all others are ways to die


def run_python(modules: Sequence[str], jobs: int, names: Sequence[str] = ()) -> Score:
    """Try the mutants of some of MODULES, or those among them whose `names` are given."""
    killed, survivors = list[Survivor](), list[Survivor]()
    with copy_checkout() as copy:
        for module in modules:
            _configure(copy, module)
            command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs), *names]
            subprocess.run(
                command, cwd=copy, env=environment(copy), check=True, stdout=subprocess.DEVNULL
            )
            path = copy / "mutants" / f"{module.replace('.', '/')}.py"
            changes = read_changes(path.read_text())
            for name, code in _read_codes(path).items():
                if code is None or (names and not any(fnmatch(name, one) for one in names)):
                    continue
                found = Survivor(_function(name), changes[name.rpartition(".")[2]])
                (survivors if code in (LIVES, NOT_TESTED) else killed).append(found)
    return Score(killed, survivors, read_excused())


def _configure(copy: Path, module: str) -> None:
    settings = SETTINGS.format(
        modules=json.dumps([f"{module.replace('.', '/')}.py"]),
        tests=json.dumps(MODULES[module].split()),
    )
    (copy / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + settings)


def _read_codes(path: Path) -> dict[str, int | None]:
    """The exit code of the tests by a mutant's name; None for one that did not run."""
    codes: dict[str, int | None] = json.loads(path.with_suffix(".py.meta").read_text())[
        "exit_code_by_key"
    ]
    return codes


def _function(name: str) -> str:
    """Where a mutant is, from mutmut's name of it: "module.x_function__mutmut_3"."""
    return _original(name).replace(".x_", ".").replace(".xǁ", ".").replace("ǁ", ".")


def read_changes(text: str) -> dict[str, str]:
    """What each mutant changes, by its name, from a module with all of them beside the originals.

    Lines that differ, "- before" and "+ after"; `mutmut show` says the same in a second for each.
    """
    rows = text.splitlines()
    bodies = {
        node.name: [
            row.strip().replace(node.name, _original(node.name))
            for row in rows[node.lineno - 1 : node.end_lineno]
        ]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and "__mutmut_" in node.name
    }
    return {
        name: _difference(bodies[f"{_original(name)}__mutmut_orig"], body)
        for name, body in bodies.items()
    }


def _original(name: str) -> str:
    return name.rpartition("__mutmut_")[0]


def _difference(before: Sequence[str], after: Sequence[str]) -> str:
    rows = difflib.ndiff(before, after)
    return "\n".join(row for row in rows if row[0] in "+-")
