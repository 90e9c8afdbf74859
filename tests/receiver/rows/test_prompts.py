"""A prompt is rendered per row, and whatever is wrong with it is said with the row."""

import pytest

from receiver.errors import RowsError
from receiver.rows.prompts import Prompt

COLUMNS = ("name", "review", "First Name")


@pytest.mark.parametrize(
    ("text", "cells", "rendered"),
    [
        ("Rate: {{ review }}", {"review": "good"}, "Rate: good"),
        ("{{ row['First Name'] }}!\n", {"First Name": "Ada"}, "Ada!\n"),
        ("{% if review %}yes{% else %}no{% endif %}", {"review": ""}, "no"),
        ("{{ review | upper }} {{ review | length }}", {"review": "<b>"}, "<B> 3"),
        ("{% for one in range(3) %}{{ one }}{% endfor %}", {}, "012"),
    ],
)
def test_rendering(text: str, cells: dict[str, object], rendered: str) -> None:
    assert Prompt.parse(text, COLUMNS).render(1, cells) == rendered


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ reviw }}", "names 'reviw': there is no such column; did you mean 'review'?"),
        ("{{ zzz }}", "there is no such column; the columns are name, review, First Name"),
        ("line\n{{ review", "--prompt, line 2: unexpected end of template"),
        ("{% include 'other' %}{{ other }}", "names 'other'"),
    ],
)
def test_a_wrong_template_is_refused_before_any_row(text: str, words: str) -> None:
    with pytest.raises(RowsError, match=words):
        Prompt.parse(text, COLUMNS)


def test_semicolons_are_told_from_commas() -> None:
    with pytest.raises(RowsError, match=r"the columns are id;review; \.csv is separated by commas"):
        Prompt.parse("{{ review }}", ["id;review"])


@pytest.mark.parametrize(
    ("text", "cells", "words"),
    [
        ("{{ review }}", {"name": "x"}, "row 7: --prompt: 'review' is undefined"),
        ("{{ row.zzz }}", {"name": "x"}, "row 7: --prompt: .* has no attribute 'zzz'"),
        ("{{ name + 1 }}", {"name": "x"}, "row 7: --prompt: TypeError"),
        ("{{ name.__class__.__mro__ }}", {"name": "x"}, "row 7: --prompt may not do that"),
        ("{{ row.update({'a': 1}) }}", {"name": "x"}, "row 7: --prompt may not do that"),
        ("{% for _ in range(999999) %}{% endfor %}", {}, "row 7: .*a range of over 10,000"),
        ("{{ name / 0 }}", {"name": 1}, "row 7: --prompt: ZeroDivisionError"),
        ("{% include 'other' %}", {}, "row 7: --prompt: "),
    ],
)
def test_a_row_that_fails_is_named(text: str, cells: dict[str, object], words: str) -> None:
    with pytest.raises(RowsError, match=words):
        Prompt.parse(text, COLUMNS).render(7, cells)
