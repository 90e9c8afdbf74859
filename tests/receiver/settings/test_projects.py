import base64

import pytest

from receiver.errors import SettingsError, UnknownProjectError
from receiver.settings.projects import Project
from receiver.settings.settings import read_settings
from tests.receiver.forging import SECRET, SECRET_TEXT

OTHER_TEXT = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ACME = {"GEMINI_API_KEY__ACME": "key-acme", "GEMINI_WEBHOOK_SECRET__ACME": SECRET_TEXT}
DEFAULT = {"GEMINI_API_KEY": "key-1", "GEMINI_WEBHOOK_SECRET": OTHER_TEXT}


def refusal_of(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as told:
        read_settings(environ)
    return str(told.value)


def test_suffix_makes_a_project() -> None:
    settings = read_settings(DEFAULT | ACME | {"GEMINI_WEBHOOK_AUDIENCE__ACME": "aud-acme"})
    assert list(settings.projects) == ["", "acme"]
    assert settings.project("acme") == Project("acme", "key-acme", (SECRET,), "aud-acme")
    assert settings.project("").audience is None
    assert [one.path for one in settings.projects.values()] == [
        "/webhooks/gemini",
        "/webhooks/gemini/acme",
    ]


def test_named_project_is_enough() -> None:
    assert list(read_settings(ACME).projects) == ["acme"]


def test_googles_own_names_take_suffixes() -> None:
    settings = read_settings(
        {"GOOGLE_API_KEY__A_1": "key-a", "WEBHOOK_SIGNING_SECRET__A_1": SECRET_TEXT}
    )
    assert settings.project("a_1") == Project("a_1", "key-a", (SECRET,), None)


def test_blank_suffixed_variable_is_unset() -> None:
    assert list(
        read_settings(DEFAULT | {"GEMINI_API_KEY__ACME": " ", "GEMINI_API_KEY__": ""}).projects
    ) == [""]


@pytest.mark.parametrize(
    "suffix",
    ["", "acme", "Acme", "AC-ME", "AC.ME", "AC ME", "_ACME", "ACMÉ", "ACME/X", "A" * 41, "A\n"],
)
@pytest.mark.parametrize(
    "name", ["GEMINI_API_KEY", "GEMINI_WEBHOOK_SECRET", "GEMINI_WEBHOOK_AUDIENCE"]
)
def test_wrong_suffix_stops_the_start(name: str, suffix: str) -> None:
    told = refusal_of(DEFAULT | {f"{name}__{suffix}": "canary"})
    assert f"{name}__{suffix}: after __ comes a project's name" in told
    assert "canary" not in told


def test_default_is_no_suffix() -> None:
    assert "GEMINI_API_KEY__DEFAULT: the default project's variables" in refusal_of(
        {"GEMINI_API_KEY__DEFAULT": "k"}
    )


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, "GEMINI_API_KEY"),
        ({"GEMINI_WEBHOOK_SECRET__ACME": SECRET_TEXT}, "GEMINI_API_KEY__ACME"),
        (DEFAULT | {"GEMINI_WEBHOOK_AUDIENCE__ACME": "aud"}, "GEMINI_API_KEY__ACME"),
        (ACME | {"GEMINI_WEBHOOK_SECRET": OTHER_TEXT}, "GEMINI_API_KEY"),
        (ACME | {"GEMINI_WEBHOOK_AUDIENCE": "aud"}, "GEMINI_API_KEY"),
    ],
)
def test_missing_key_names_itself(environ: dict[str, str], missing: str) -> None:
    assert f"  {missing}: is missing; create a key" in refusal_of(environ)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("GEMINI_API_KEY__ACME", "two words", "one word"),
        ("GEMINI_WEBHOOK_SECRET__ACME", "hunter2", "starts with whsec_"),
        ("GEMINI_WEBHOOK_SECRET__ACME", "whsec_c2hvcnQ=", "24 to 64 bytes"),
        ("GEMINI_WEBHOOK_SECRET__ACME", f"{SECRET_TEXT} whsec_{'A' * 43}=", "can be guessed"),
    ],
)
def test_wrong_value_names_its_project(variable: str, value: str, words: str) -> None:
    told = refusal_of(DEFAULT | ACME | {variable: value})
    assert f"{variable}: " in told
    assert words in told


def test_shared_secret_stops_the_start() -> None:
    told = refusal_of(DEFAULT | ACME | {"GEMINI_WEBHOOK_SECRET": f"{OTHER_TEXT} {SECRET_TEXT}"})
    assert (
        "GEMINI_WEBHOOK_SECRET__ACME: the same value is in GEMINI_WEBHOOK_SECRET; each project"
        " needs its own" in told
    )
    assert SECRET_TEXT not in told


def test_shared_audience_stops_the_start() -> None:
    audiences = {"GEMINI_WEBHOOK_AUDIENCE": "aud", "GEMINI_WEBHOOK_AUDIENCE__ACME": "aud"}
    assert "GEMINI_WEBHOOK_AUDIENCE__ACME: the same value is in" in refusal_of(
        DEFAULT | ACME | audiences
    )


def test_secrets_of_all_projects_stay_hidden() -> None:
    shown = repr(read_settings(DEFAULT | ACME))
    assert not any(
        secret in shown
        for secret in ("key-1", "key-acme", SECRET_TEXT, OTHER_TEXT, "0123456789abcdef")
    )


@pytest.mark.parametrize(
    ("name", "variable"), [("globex", "GEMINI_API_KEY__GLOBEX"), ("", "GEMINI_API_KEY")]
)
def test_unknown_project_names_its_variable(name: str, variable: str) -> None:
    with pytest.raises(UnknownProjectError, match=f"only acme: set {variable} and restart") as told:
        read_settings(ACME).project(name)
    assert told.value.retryable
