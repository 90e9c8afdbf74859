import tomllib
from pathlib import Path

import pytest

from tests.model.running import running_client
from tests.mutation.lua import make_mutants
from tests.mutation.lua_run import killers_of, list_mutants
from tests.mutation.python_run import MODULES, read_changes
from tests.mutation.running import ROOT
from tests.mutation.survivors import LIST, Score, Survivor, read_excused
from tests.mutation.transcript import PRELUDE, TranscriptPlayer, record

SCRIPT = """\
-- a comment: redis.call('DEL', 'x') == 1
local held = redis.call('GET', KEYS[1]) -- its answer is used
if held == 'a' and not ARGV[2] then
  redis.call('SET', KEYS[1], math.floor(2.5))
  note(held)
end
return held
"""


def changes(text: str) -> list[str]:
    return [one.change for one in make_mutants("script", text)]


def test_a_call_whose_answer_nobody_uses_is_dropped() -> None:
    found = changes(SCRIPT)
    assert "- redis.call('SET', KEYS[1], math.floor(2.5))\n+ " in found
    assert "- note(held)\n+ " in found
    assert not any("local held = " in one and "GET" not in one.split("\n+ ")[1] for one in found)


def test_operators_are_flipped_and_constants_swapped() -> None:
    line = "if held == 'a' and not ARGV[2] then"
    assert {one.split("\n+ ")[1] for one in changes(SCRIPT) if f"- {line}" in one} == {
        "if held ~= 'a' and not ARGV[2] then",
        "if held == 'a~' and not ARGV[2] then",
        "if held == 'a' or not ARGV[2] then",
        "if held == 'a' and  ARGV[2] then",
        "if held == 'a' and not ARGV[2 + 1] then",
    }


def test_comments_and_names_of_commands_stay() -> None:
    mutants = make_mutants("script", SCRIPT)
    assert all(one.text.startswith(SCRIPT.split("\n", maxsplit=1)[0]) for one in mutants)
    assert all("'GET'" in one.text for one in mutants)


def test_a_mutant_differs_in_the_line_that_it_names() -> None:
    for one in make_mutants("script", SCRIPT):
        rows = one.text.split("\n")
        assert rows[: one.line - 1] == SCRIPT.split("\n")[: one.line - 1]
        assert rows[one.line - 1].strip() == one.after != one.before


def test_what_is_no_lua_is_refused() -> None:
    with pytest.raises(ValueError, match="no Lua token at '@"):
        make_mutants("script", "local a = @")


def test_every_script_has_mutants_and_tests_that_exist() -> None:
    scripts = {path.stem for path in (ROOT / "receiver/inbox/lua").glob("*.lua")}
    assert {one.script for one in list_mutants()} == scripts
    paths = {path for script in scripts for path in killers_of(script)}
    paths |= {path for tests in MODULES.values() for path in tests.split()}
    assert [path for path in paths if not (ROOT / path).exists()] == []
    modules = [f"{module.replace('.', '/')}.py" for module in MODULES]
    assert [path for path in modules if not (ROOT / path).exists()] == []


@pytest.mark.timeout(120)
def test_transcript_of_the_model_tells_a_mutant() -> None:
    transcript = record(examples=3)
    with running_client() as client:
        player = TranscriptPlayer(client, transcript)
        for script in ("accept", "prelude", "probe"):
            text = (ROOT / f"receiver/inbox/lua/{script}.lua").read_text()
            assert player.accepts(script, text)
        assert not player.accepts("prelude", PRELUDE.replace("MAX_DETAIL = 50, 300", "MAX = 50, 3"))
        assert not player.accepts("accept", "return 'no")
        accept = (ROOT / "receiver/inbox/lua/accept.lua").read_text()
        assert not player.accepts("accept", accept.replace("'attempts', '0'", "'attempts', '1'"))


def test_a_survivor_without_an_excuse_counts(tmp_path: Path) -> None:
    path = tmp_path / "list.toml"
    path.write_text('[[excused]]\nwhere = "a.lua"\nreason = "as good"\nchanges = ["- 1\\n+ 2"]\n')
    known, new = Survivor("a.lua", "- 1\n+ 2"), Survivor("a.lua", "- 1\n+ 3")
    killed = [Survivor("a.lua", f"- 1\n+ {number}") for number in (4, 5)]
    score = Score(killed, [known, new], read_excused(path))
    assert (score.unexcused, score.stale) == ([new], [])
    assert score.describe() == "2 of 4 mutants killed (50.0 %), 1 excused, 1 to look at"


def test_an_excuse_that_is_not_needed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "list.toml"
    path.write_text('[[excused]]\nwhere = "a.lua"\nreason = "as good"\nchanges = ["- 1\\n+ 2"]\n')
    known, other = Survivor("a.lua", "- 1\n+ 2"), Survivor("b.lua", "- 1\n+ 2")
    assert Score([known, other], [], read_excused(path)).stale == [known]


def test_an_excuse_needs_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "list.toml"
    path.write_text('[[excused]]\nwhere = "a.lua"\nreason = " "\nchanges = ["- 1\\n+ 2"]\n')
    with pytest.raises(ValueError, match=r"no reason for a\.lua"):
        read_excused(path)


def test_excused_mutants_of_scripts_exist() -> None:
    """The list must not outlive the code: what it excuses can still be made."""
    made = {Survivor(f"{one.script}.lua", one.change) for one in list_mutants()}
    assert [one for one in read_excused() if one.where.endswith(".lua") and one not in made] == []
    assert "excused" in tomllib.loads(LIST.read_text())


def test_change_of_a_python_mutant_is_read() -> None:
    text = """
def x_add__mutmut_orig(a, b):
    return (
        a + b
    )
def x_add__mutmut_1(a, b):
    return (
        a - b
    )
"""
    assert read_changes(text)["x_add__mutmut_1"] == "- a + b\n+ a - b"
