import pytest

from receiver.errors import SettingsError
from receiver.settings.projects import Project
from receiver.settings.settings import VARIABLES, read_settings
from tests.receiver.forging import SECRET, SECRET_TEXT

RIGHT = {"GEMINI_API_KEY": "key-1", "GEMINI_WEBHOOK_SECRET": SECRET_TEXT}


def test_key_alone_is_enough() -> None:
    settings = read_settings({"GEMINI_API_KEY": "key-1"})
    assert settings.base_url == "https://generativelanguage.googleapis.com"
    assert settings.jwks_url == "https://generativelanguage.googleapis.com/.well-known/jwks.json"
    assert settings.template.text == "{batch}/{key}.json"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.projects == {"": Project("", "key-1", (), None)}


def test_googles_own_names_are_read() -> None:
    settings = read_settings({"GOOGLE_API_KEY": "key-2", "WEBHOOK_SIGNING_SECRET": SECRET_TEXT})
    assert settings.project("") == Project("", "key-2", (SECRET,), None)


def test_our_names_win_over_googles() -> None:
    assert read_settings(RIGHT | {"GOOGLE_API_KEY": "key-2"}).project("").api_key == "key-1"


@pytest.mark.parametrize("separator", [" ", ",", "\n", ", "])
def test_several_secrets_are_read(separator: str) -> None:
    assert (
        len(
            read_settings(RIGHT | {"GEMINI_WEBHOOK_SECRET": separator.join([SECRET_TEXT] * 2)})
            .project("")
            .secrets
        )
        == 2
    )


def test_overrides_win() -> None:
    assert read_settings(RIGHT | {"PORT": "1"}, port=2).port == 2


WRONG = [
    ("GEMINI_API_KEY", "two words", "one word"),
    ("GEMINI_WEBHOOK_SECRET", "hunter2", "whsec_"),
    ("GEMINI_WEBHOOK_SECRET", "whsec_c2hvcnQ=", "bytes"),
    ("GEMINI_BASE_URL", "generativelanguage.googleapis.com", "expected an address"),
    ("GEMINI_BASE_URL", "http://generativelanguage.googleapis.com", "expected https"),
    ("GEMINI_API_VERSION", "v1/..", "v1beta"),
    ("GEMINI_JWKS_URL", "ftp://x", "expected an address"),
    ("PUBLIC_URL", "http://batches.example.com", "expected https"),
    ("PUBLIC_URL", "https://batches.example.com/webhooks/gemini", "without a path"),
    ("REDIS_URL", "localhost:6379", "redis://"),
    ("STORAGE_URL", "/var/outputs", "file:/path"),
    ("STORAGE_URL", "file://var/outputs", "did you mean file:var/outputs"),
    ("STORAGE_URL", "s3:bucket", "s3://bucket/prefix"),
    ("OUTPUT_TEMPLATE", "{batch}/{nokey}.json", "nokey"),
    ("OUTPUT_TEMPLATE", "all.jsonl", "{batch}"),
    ("KEY_PATTERN", "(", "KEY_PATTERN: it is no regular expression: missing )"),
    ("KEY_PATTERN", "(?P<key>.*)", "KEY_PATTERN: it names a group key, which is a field already"),
    (
        "OUTPUT_FORMS",
        "raw,txt",
        "'txt' is no form; expected some of raw, text, thoughts, json, media, table",
    ),
    ("OUTPUT_FORMS", "jsonl csv", "'csv', 'jsonl' are no forms"),
    ("OUTPUT_FORMS", "x" * 500, f"OUTPUT_FORMS: '{'x' * 40}' is no form"),
    ("RETRY_BASE_S", "soon", "seconds"),
    ("PORT", "65536", "65535"),
    ("WEB_CONCURRENCY", "auto", "a number from 1 to 99"),
    ("WEB_CONCURRENCY", "0", "a number from 1 to 99"),
    ("METRICS_TOKEN", "short", "at least 16 characters"),
    ("METRICS_TOKEN", "sixteen and words", "without spaces"),
    ("LOG_LEVEL", "LOUD", "WARNING"),
    ("LOG_FORMAT", "xml", "auto, json, text"),
    ("HTTPS_PROXY", "proxy.example:port", "expected http://HOST:PORT"),
    ("HTTPS_PROXY", "socks5h://proxy.example:1080", "SOCKS is not spoken here"),
    ("NO_PROXY", "localhost,http://intern.example", "expected names of hosts and domains"),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_wrong_value_names_itself(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError) as told:
        read_settings(RIGHT | {name: value})
    assert name in str(told.value)
    assert expected in str(told.value)


def test_token_that_spends_is_no_token_that_scrapes() -> None:
    tokens = {"API_TOKEN": "hunter2-hunter2-1", "METRICS_TOKEN": "hunter2-hunter2-1"}
    with pytest.raises(SettingsError, match="API_TOKEN: it is also METRICS_TOKEN") as told:
        read_settings(RIGHT | tokens)
    assert "hunter2" not in str(told.value)
    assert read_settings(RIGHT | tokens | {"METRICS_TOKEN": "hunter2-hunter2-2"}).api_token
    assert read_settings(RIGHT | {"API_TOKEN": "", "METRICS_TOKEN": ""}).api_token == ""


def test_token_of_the_page_may_be_that_of_the_api() -> None:
    """Both may spend."""
    tokens = dict.fromkeys(("API_TOKEN", "STATUS_TOKEN"), "hunter2-hunter2-1")
    assert read_settings(RIGHT | tokens).api_token == "hunter2-hunter2-1"


@pytest.mark.parametrize("url", ["file://user:hunter2@/x", "file://user:hun/ter2@host/x"])
def test_password_in_a_file_url_is_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="STORAGE_URL: file URLs name no user") as told:
        read_settings(RIGHT | {"STORAGE_URL": url})
    assert "hun" not in str(told.value)


@pytest.mark.parametrize(
    ("environ", "only"),
    [
        ({"KEY_PATTERN": "(", "OUTPUT_TEMPLATE": "{batch}/{lang}.jsonl"}, "KEY_PATTERN"),
        ({"OUTPUT_FORMS": "jsn", "RESPONSE_SCHEMA": "{}"}, "OUTPUT_FORMS"),
        ({"NOTIFY_PRIVATE": "ture", "SLACK_WEBHOOK_URL": "http://10.0.0.1/x"}, "NOTIFY_PRIVATE"),
        ({"REDIS_TLS_VERIFY": "no", "REDIS_URL": "redis://host/0"}, "REDIS_TLS_VERIFY"),
        ({"GEMINI_API_KEY": "", "GOOGLE_API_KEY": "two words"}, "GOOGLE_API_KEY"),
        (
            {"GEMINI_WEBHOOK_SECRET": "", "WEBHOOK_SIGNING_SECRET": "hunter2"},
            "WEBHOOK_SIGNING_SECRET",
        ),
        ({"all_proxy": "http://:hunter2@"}, "all_proxy"),
        ({"no_proxy": "10.0.0.0/33"}, "no_proxy"),
    ],
)
def test_no_other_variable_is_blamed(environ: dict[str, str], only: str) -> None:
    with pytest.raises(SettingsError) as told:
        read_settings(RIGHT | environ)
    _, *problems = str(told.value).splitlines()
    assert [problem.strip().partition(":")[0] for problem in problems] == [only]


def test_all_wrong_values_come_together() -> None:
    with pytest.raises(SettingsError) as told:
        read_settings({"PORT": "x", "REDIS_URL": "x", "LOG_LEVEL": "x"})
    assert all(
        name in str(told.value) for name in ("GEMINI_API_KEY", "PORT", "REDIS_URL", "LOG_LEVEL")
    )


def test_what_needs_a_wrong_variable_is_still_parsed() -> None:
    wrong = {"OUTPUT_FORMS": "jsn", "RESPONSE_SCHEMA": "{", "REDIS_URL": "x", "REDIS_CA_FILE": "x"}
    with pytest.raises(SettingsError) as told:
        read_settings(RIGHT | wrong)
    _, *problems = str(told.value).splitlines()
    assert {problem.strip().partition(":")[0] for problem in problems} == set(wrong)


def test_secrets_are_never_shown() -> None:
    settings = read_settings(RIGHT | {"REDIS_URL": "redis://:hunter2@localhost/0"})
    assert not any(
        secret in repr(settings) for secret in ("key-1", SECRET_TEXT, "hunter2", "0123456789abcdef")
    )
    with pytest.raises(SettingsError) as told:
        read_settings({"GEMINI_API_KEY": "my secret key", "GEMINI_WEBHOOK_SECRET": "whsec_hunter2"})
    assert not any(secret in str(told.value) for secret in ("my secret key", "hunter2"))


def test_every_variable_is_described() -> None:
    assert len({variable.name for variable in VARIABLES}) == len(VARIABLES)
    assert {name for name, _, _ in WRONG} <= {variable.name for variable in VARIABLES}
