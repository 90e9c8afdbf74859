from datetime import date

import pytest

from receiver.outputs.model_table import MODELS
from receiver.outputs.models import model_warnings

DAY = date(2026, 11, 28)
SHUT = (
    "is shut since {}: Gemini will refuse the batch, or fail it; take gemini-3.8-flash or"
    " gemini-3.5-flash-lite"
)
CLOSED = "{} is closed to new projects, which can take gemini-3.8-flash or gemini-3.5-flash-lite"


@pytest.mark.parametrize(
    ("model", "since"),
    [
        ("gemini-2.0-flash", "2026-06-01"),
        ("models/gemini-2.0-flash-lite-001", "2026-06-01"),
        ("gemini-3-pro-image-preview", "2026-06-25"),
        ("gemini-2.5-flash-image", "2026-10-02"),
        ("gemini-embedding-2-preview", "2026-11-06"),
    ],
)
def test_shut_model_is_said_to_be(model: str, since: str) -> None:
    assert model_warnings(model, DAY) == [f"{model.removeprefix('models/')} {SHUT.format(since)}"]


def test_model_that_nobody_dates_may_be_shut_too() -> None:
    (said,) = model_warnings("gemini-3-pro-preview", DAY)
    assert said.startswith("gemini-3-pro-preview is shut: ")


def test_closed_model_is_no_choice_for_new_projects() -> None:
    assert model_warnings("gemini-2.5-flash-lite", DAY) == [CLOSED.format("gemini-2.5-flash-lite")]


@pytest.mark.parametrize(
    ("day", "warned"), [(date(2027, 5, 4), 0), (date(2027, 5, 5), 1), (date(2027, 5, 6), 1)]
)
def test_model_that_ends_before_a_batch_may_is_said_to(day: date, warned: int) -> None:
    assert MODELS["ends"]["gemini-3.1-flash-lite"] == "2027-05-07"
    said = model_warnings("gemini-3.1-flash-lite", day)
    assert len(said) == warned
    assert all(
        one.startswith("gemini-3.1-flash-lite ends on 2027-05-07, and a batch may take 2 days")
        for one in said
    )


def test_last_day_is_the_day_before_the_end() -> None:
    assert (
        "is shut since 2027-05-07" in model_warnings("gemini-3.1-flash-lite", date(2027, 5, 7))[0]
    )


@pytest.mark.parametrize(
    "model", ["gemini-3.8-flash", "models/gemini-3.5-flash-lite", "tunedModels/mine", "", "x"]
)
def test_others_get_no_warning(model: str) -> None:
    assert model_warnings(model, DAY) == []
