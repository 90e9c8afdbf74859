import pytest

from receiver.errors import SettingsError
from receiver.settings.notice_targets import NoticeSettings
from receiver.settings.settings import read_settings
from tests.receiver.forging import SECRET, SECRET_TEXT
from tests.receiver.notices.test_payloads import OTHER, OTHER_TEXT

SLACK = "https://hooks.slack.com/services/T0/B0/hunter2"
HOOK = "https://example.com/notices?token=hunter2"


def read(**environ: str) -> NoticeSettings:
    return read_settings({"GEMINI_API_KEY": "k", **environ}).notices


def test_nobody_is_told_by_default() -> None:
    assert read() == NoticeSettings((), (), (), private=False, retry_base_s=5)


def test_several_targets_are_read() -> None:
    found = read(
        NOTIFY_URL=f"{HOOK}, https://b.example/x\n{HOOK}",
        NOTIFY_SECRET=SECRET_TEXT,
        SLACK_WEBHOOK_URL=SLACK,
    )
    assert [(target.kind, target.host) for target in found.targets] == [
        ("webhook", "example.com"),
        ("webhook", "b.example"),
        ("slack", "hooks.slack.com"),
    ]
    assert len(set(found.digests)) == 3
    assert all(len(digest) == 12 for digest in found.digests)
    assert found.secrets == (SECRET,)


def test_secrets_of_a_rotation_are_read() -> None:
    assert read(NOTIFY_URL=HOOK, NOTIFY_SECRET=f"{OTHER_TEXT},{SECRET_TEXT}").secrets == (
        OTHER,
        SECRET,
    )


def test_slack_needs_no_secret() -> None:
    assert [target.kind for target in read(SLACK_WEBHOOK_URL=SLACK).targets] == ["slack"]


def test_own_network_is_allowed_on_demand() -> None:
    urls = "http://127.0.0.1:8080/a https://10.0.0.1/b http://inside/c http://[::1]:1/d"
    assert len(read(NOTIFY_URL=urls, NOTIFY_SECRET=SECRET_TEXT, NOTIFY_PRIVATE="true").targets) == 4


WRONG = [
    ("NOTIFY_URL", "example.com/notices", "expected an address"),
    ("NOTIFY_URL", "ftp://example.com", "expected an address"),
    ("NOTIFY_URL", "https://", "expected an address"),
    ("NOTIFY_URL", "https://user:pass@example.com", "without a user"),
    ("NOTIFY_URL", "https://example.com/#x", "without a user and a fragment"),
    ("NOTIFY_URL", "https://example.com:99999/", "expected an address"),
    ("NOTIFY_URL", "https://exämple.com", "printable ASCII"),
    ("NOTIFY_URL", "https://a\\b.example", "printable ASCII"),
    ("NOTIFY_URL", "http://example.com", "expected https"),
    ("NOTIFY_URL", "https://127.0.0.1/x", "not public"),
    ("NOTIFY_URL", "https://[::ffff:169.254.169.254]/latest", "not public"),
    ("SLACK_WEBHOOK_URL", "https://192.168.0.1/hook", "not public"),
    ("NOTIFY_SECRET", "hunter2", "whsec_"),
    ("NOTIFY_PRIVATE", "yes", "true or false"),
    ("NOTIFY_RETRY_BASE_S", "0", "at most 30"),
    ("NOTIFY_RETRY_BASE_S", "31", "at most 30"),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_wrong_value_names_itself(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError) as told:
        read(**{"NOTIFY_SECRET": SECRET_TEXT, name: value})
    (line,) = str(told.value).splitlines()[1:]
    assert line.startswith(f"  {name}: ")
    assert expected in line


@pytest.mark.parametrize(
    "url", ["http://h/hunter2", "https://hunter2@h/", "https://h:hunter2/", "https://h/#hunter2"]
)
def test_wrong_address_is_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError) as told:
        read(SLACK_WEBHOOK_URL=url)
    assert "hunter2" not in str(told.value)


def test_public_address_needs_https_even_then() -> None:
    with pytest.raises(SettingsError, match="in clear over the internet"):
        read(NOTIFY_URL="http://1.1.1.1/x", NOTIFY_SECRET=SECRET_TEXT, NOTIFY_PRIVATE="true")


def test_missing_secret_is_said() -> None:
    with pytest.raises(SettingsError, match=r"NOTIFY_SECRET: is missing: make one with .*openssl"):
        read(NOTIFY_URL=HOOK)


def test_addresses_are_never_shown() -> None:
    shown = repr(read(NOTIFY_URL=HOOK, NOTIFY_SECRET=SECRET_TEXT, SLACK_WEBHOOK_URL=SLACK))
    assert "hunter2" not in shown
    assert "0123456789abcdef" not in shown
    assert "hooks.slack.com" in shown
