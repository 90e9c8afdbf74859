import pytest

from receiver.cli.output import print_table, shorten, show_age


def test_columns_are_as_wide_as_their_contents(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("a\nb", "1", ""), ("longer", "1,000", "c\x1b")]
    print_table(("name", "count", "rest"), rows, numbers=("count",))
    assert capsys.readouterr().out.splitlines() == [
        "name    count  rest",
        "a?b         1",
        "longer  1,000  c?",
    ]
    print_table(("name", "count"), [])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "short"),
    [("no  such\nfile", "no such…"), ("\x1b[2J", "?[2J"), ("12345678", "12345678"), ("", "")],
)
def test_texts_are_cut_to_one_line(text: str, short: str) -> None:
    assert shorten(text, 8) == short


def test_ages_have_one_unit() -> None:
    ages = [show_age(ms) for ms in (-5, 900, 119_000, 7_200_000, 200_000_000)]
    assert ages == ["0s", "0s", "1m", "2h", "2d"]
