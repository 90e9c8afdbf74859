from decimal import Decimal

import pytest

from receiver.errors import SettingsError
from receiver.settings.limits import FAMILIES, SendingLimits
from receiver.settings.settings import read_settings
from tests.pages import section

KEYS = {"GEMINI_API_KEY": "key-1", "GEMINI_API_KEY__ACME": "key-2"}


def limits(project: str = "", **environ: str) -> SendingLimits:
    return read_settings(KEYS | environ).project(project).limits


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gemini-3.8-flash", 3_000_000),
        ("models/gemini-3.5-flash", 3_000_000),
        ("gemini-flash-latest", 3_000_000),
        ("gemini-3.5-flash-lite", 10_000_000),
        ("gemini-2.5-flash-lite-preview-09-2025", 10_000_000),
        ("gemini-3.1-pro-preview", 5_000_000),
        ("gemini-3.1-flash-image", 1_000_000),
        ("gemini-3-pro-image-preview", 1_000_000),
        ("gemini-2.5-pro-preview-tts", 25_000),
        ("gemini-3.8-flash-lite-tts", 25_000),
        ("gemini-embedding-001", 500_000),
        ("gemini-4-argon", None),
        ("tunedModels/mine", None),
    ],
)
def test_family_decides_the_limit(model: str, tokens: int | None) -> None:
    assert limits().enqueue_limit(model) == tokens


def test_tier_raises_the_limit() -> None:
    assert [limits(GEMINI_TIER=tier).enqueue_limit("gemini-3.8-flash") for tier in "123"] == [
        *FAMILIES["gemini-flash"]
    ]


def test_longest_beginning_of_the_name_counts() -> None:
    found = limits(ENQUEUED_TOKENS="gemini-3.8=7, models/gemini-3.8-flash-lite=9,gemini=5")
    models = ("gemini-3.8-flash-lite-001", "models/gemini-3.8-flash", "gemini-4-argon", "other")
    assert [found.enqueue_limit(model) for model in models] == [9, 7, 5, None]


def test_project_has_its_own_or_that_of_all() -> None:
    shared = {"DAILY_COST_CAP": "50", "GEMINI_TIER": "3"}
    assert limits("acme", **shared) == limits(**shared) == SendingLimits(3, (), Decimal(50))
    own = shared | {"DAILY_COST_CAP__ACME": "2.50"}
    assert limits("acme", **own) == SendingLimits(3, (), Decimal("2.50"))
    assert limits("", **own).daily_cost_cap == Decimal(50)


def test_limit_alone_makes_no_project() -> None:
    """A cap for all must not ask for a key of the default project."""
    settings = read_settings({"GEMINI_API_KEY__ACME": "key", "DAILY_COST_CAP": "1"})
    assert [project.limits.daily_cost_cap for project in settings.projects.values()] == [1]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("GEMINI_TIER", "4", "expected one of 1, 2, 3"),
        ("GEMINI_TIER__ACME", "0", "expected one of 1, 2, 3"),
        ("ENQUEUED_TOKENS", "3000000", "expected model=tokens such as"),
        ("ENQUEUED_TOKENS", "gemini=0", "expected model=tokens such as"),
        ("ENQUEUED_TOKENS", "gemini=1,gemini=2", "expected model=tokens such as"),
        ("DAILY_COST_CAP", "-1", "expected US dollars such as 25 or 2.50"),
        ("DAILY_COST_CAP", "NaN", "expected US dollars such as 25 or 2.50"),
        ("DAILY_COST_CAP__OTHER", "1", "set GEMINI_API_KEY__OTHER as well"),
    ],
)
def test_wrong_limit_stops_the_start(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError) as told:
        limits(**{name: value})
    (problem,) = str(told.value).splitlines()[1:]
    assert problem.strip().startswith(f"{name}: ")
    assert expected in problem


@pytest.mark.parametrize(
    ("family", "row"),
    [
        ("gemini-flash", "Flash"),
        ("gemini-flash-lite", "Flash-Lite"),
        ("gemini-pro", "Pro"),
        ("gemini-embedding", "embeddings"),
        ("gemini-pro-image", "images"),
        ("gemini-flash-tts", "speech"),
    ],
)
def test_limits_are_in_the_pages(family: str, row: str) -> None:
    cells = " | ".join(f"{tokens:,}" for tokens in FAMILIES[family])
    assert f"| {row} | {cells} |" in section("### Pace and cost")
