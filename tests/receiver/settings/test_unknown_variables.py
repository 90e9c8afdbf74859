"""A misspelt setting must not pass in silence, and somebody else's variable must not stop us."""

import pytest

from receiver.errors import SettingsError
from receiver.settings.settings import VARIABLES, read_settings

RIGHT = {"GEMINI_API_KEY": "key-1"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("GEMINI_WEBHOOK_SECRETS", "GEMINI_WEBHOOK_SECRET"),
        ("GEMINI_WEBHOK_SECRET", "GEMINI_WEBHOOK_SECRET"),
        ("GEMINI_WEBHOOK_SECRETS__ACME", "GEMINI_WEBHOOK_SECRET__ACME"),
        ("GEMINI_BASEURL", "GEMINI_BASE_URL"),
        ("OUTPUT_FORM", "OUTPUT_FORMS"),
        ("OUTPUT_TEMPALTE", "OUTPUT_TEMPLATE"),
        ("OUPUT_TEMPLATE", "OUTPUT_TEMPLATE"),
        ("output_template", "OUTPUT_TEMPLATE"),
        ("STORAGE_URI", "STORAGE_URL"),
        ("STORAGEURL", "STORAGE_URL"),
        ("REDIS_URI", "REDIS_URL"),
        ("NOTIFY_URLS", "NOTIFY_URL"),
        ("NOTIFY_EVENT__OPS", "NOTIFY_EVENTS__OPS"),
        ("KEY_PATERN", "KEY_PATTERN"),
        ("RECONCILE_INTERVALS", "RECONCILE_INTERVAL_S"),
        ("STATUS_TOKENS", "STATUS_TOKEN"),
        ("LOG_LEVE", "LOG_LEVEL"),
    ],
)
def test_typo_stops_the_start(name: str, meant: str) -> None:
    with pytest.raises(SettingsError) as told:
        read_settings(RIGHT | {name: "hunter2"})
    if name == "output_template":
        assert f"{name}: is no setting" in str(told.value)
    assert f"{name}: is no setting; did you mean {meant}?" in str(told.value)
    assert "hunter2" not in str(told.value)


def test_missing_key_names_the_typo_too() -> None:
    with pytest.raises(SettingsError) as told:
        read_settings({"GEMINI_APIKEY": "key-1"})
    assert "GEMINI_APIKEY: is no setting; did you mean GEMINI_API_KEY?" in str(told.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("STORAGE_URL_FILE", "STORAGE_URL is no secret, and can't come from a file"),
        ("OUTPUT_TEMPLATE__ACME", "OUTPUT_TEMPLATE is one for all projects"),
        ("REDIS_URL__ACME", "REDIS_URL is one for all projects"),
        ("REDIS_URL_FILE__ACME", "REDIS_URL is one for all projects"),
    ],
)
def test_form_that_a_setting_does_not_have_is_said(name: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read_settings(RIGHT | {name: "x"})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("GEMINI_TIMEOUT", "GEMINI_TIMEOUT: is no setting, so nothing reads it"),
        ("OUTPUT_DIRECTORY", "OUTPUT_DIRECTORY: is no setting"),
        ("NOTIFY_EMAIL", "NOTIFY_EMAIL: is no setting"),
        ("GEMINI_API_KEY_2", "did you mean GEMINI_API_KEY?"),  # that one is set
        ("GEMINI_API_KEY_ACME", "did you mean GEMINI_API_KEY__ACME, of a project of that name?"),
    ],
)
def test_what_may_be_somebody_elses_is_a_warning(name: str, words: str) -> None:
    (said,) = read_settings(RIGHT | {name: "hunter2"}).unknown
    assert words in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "name",
    [
        *(
            "GEMINI_CLI_HOME",
            "GEMINI_MODEL",
            "GEMINI_SANDBOX",
            "GEMINI_TELEMETRY_ENABLED",
            "GEMINI_SYSTEM_MD",
        ),
        *(
            "GOOGLE_API_KEY",
            "GOOGLE_GEMINI_BASE_URL",
            "GOOGLE_CLOUD_PROJECT",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        *(
            "NOTIFY_SOCKET",
            "REDIS_SERVICE_HOST",
            "REDIS_PORT",
            "REDIS_PORT_6379_TCP_ADDR",
            "GEMINI_SERVICE_PORT_HTTP",
        ),
        *(
            "REDIS_TLS_URL",
            "REDISHOST",
            "REDIS_PASSWORD",
            "AWS_ACCESS_KEY_ID",
            "AZURE_STORAGE_ACCOUNT_NAME",
        ),
        *(
            "HOSTNAME",
            "HOME",
            "PORTS",
            "POST",
            "PATH",
            "WEB_WORKERS",
            "OTEL_SERVICE_NAME",
            "DYNO",
            "LOGNAME",
        ),
        *(
            "STORAGE_EMULATOR_HOST",
            "RAILWAY_PUBLIC_DOMAIN",
            "RENDER_EXTERNAL_URL",
            "FLY_APP_NAME",
            "K_SERVICE",
        ),
        *("HTTP_PROXY", "http_proxy", "FTP_PROXY", "GOPROXY", "S3_PROXY"),
    ],
)
def test_others_variables_are_let_alone(name: str) -> None:
    assert read_settings(RIGHT | {name: "x"}).unknown == ()


def test_empty_variable_is_none() -> None:
    assert read_settings(RIGHT | {"GEMINI_WEBHOOK_SECRETS": " "}).unknown == ()


def test_every_setting_is_known() -> None:
    values = {variable.name: "" for variable in VARIABLES} | RIGHT
    assert read_settings(values).unknown == ()
