from pathlib import Path

import pytest

from receiver.errors import SettingsError
from receiver.settings.notice_keys import NoticeKey
from receiver.settings.notice_targets import NoticeSettings, make_target
from receiver.settings.rq_functions import RqFunction
from receiver.settings.settings import read_settings
from tests.receiver.forging import SECRET, SECRET_TEXT
from tests.receiver.notices.test_payloads import OTHER, OTHER_TEXT

KEY = NoticeKey(bytes(range(32)))
SLACK = "https://hooks.slack.com/services/T0/B0/hunter2"
HOOK = "https://example.com/notices?token=hunter2"


def read(**environ: str) -> NoticeSettings:
    return read_settings({"GEMINI_API_KEY": "k", **environ}).notices


def test_nobody_is_told_by_default() -> None:
    assert read() == NoticeSettings((), private=False, retry_base_s=5)


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
    assert [target.keys for target in found.targets] == [(SECRET,), (SECRET,), ()]
    assert {target.events for target in found.targets} == {None}


def test_secrets_of_a_rotation_are_read() -> None:
    (target,) = read(NOTIFY_URL=HOOK, NOTIFY_SECRET=f"{OTHER_TEXT},{SECRET_TEXT}").targets
    assert target.keys == (OTHER, SECRET)


def test_each_name_has_its_own_secret_and_events() -> None:
    found = read(
        NOTIFY_URL=HOOK,
        NOTIFY_SECRET=SECRET_TEXT,
        NOTIFY_URL__BILLING="https://billing.example/x",
        NOTIFY_SECRET__BILLING=f"{OTHER_TEXT} {KEY.show()}",
        NOTIFY_EVENTS__BILLING="results.stored, submission.*",
        SLACK_WEBHOOK_URL__ON_CALL=SLACK,
        NOTIFY_EVENTS__ON_CALL="batch.buried",
    ).targets
    assert [(one.label, one.keys, one.events) for one in found] == [
        ("example.com", (SECRET,), None),
        (
            "billing.example (billing)",
            (OTHER, KEY),
            {"results.stored", "submission.completed", "submission.stopped", "submission.buried"},
        ),
        ("hooks.slack.com (on_call)", (), {"batch.buried"}),
    ]


def test_name_has_no_secret_of_another() -> None:
    """One that others have signs what they could forge."""
    with pytest.raises(SettingsError, match="NOTIFY_SECRET__OPS: is missing"):
        read(NOTIFY_URL=HOOK, NOTIFY_SECRET=SECRET_TEXT, NOTIFY_URL__OPS="https://ops.example/x")


def test_secret_of_a_name_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET_TEXT)
    (target,) = read(NOTIFY_URL__OPS=HOOK, NOTIFY_SECRET_FILE__OPS=str(tmp_path / "secret")).targets
    assert target.keys == (SECRET,)


def test_function_of_rq_needs_no_secret() -> None:
    stated, default = read(
        NOTIFY_URL__MAIL="rq://mail/shop.tasks.tell?timeout=600&serializer=pickle",
        NOTIFY_REDIS_URL__MAIL="rediss://:hunter2@other.example:6380/2",
        NOTIFY_URL__OPS="rq://ops/shop.tasks.tell",
        REDIS_URL="redis://inbox.example:6379/0",
    ).targets
    assert (stated.kind, stated.label, stated.keys) == ("rq", "rq://mail (mail)", ())
    assert stated.redis_url == "rediss://:hunter2@other.example:6380/2"
    assert default.redis_url == "redis://inbox.example:6379/0"
    assert "hunter2" not in repr(stated)
    function = RqFunction.parse(stated.url)
    assert function == RqFunction("mail", "shop.tasks.tell", 600, "pickle")
    assert stated.digest == make_target("rq", "rq://mail/shop.tasks.tell").digest


def test_slack_needs_no_secret() -> None:
    assert [target.kind for target in read(SLACK_WEBHOOK_URL=SLACK).targets] == ["slack"]


def test_own_network_is_allowed_on_demand() -> None:
    urls = "http://127.0.0.1:8080/a https://10.0.0.1/b http://inside/c http://[::1]:1/d"
    assert len(read(NOTIFY_URL=urls, NOTIFY_SECRET=SECRET_TEXT, NOTIFY_PRIVATE="true").targets) == 4


WRONG = [
    ("NOTIFY_URL__OPS", "http://example.com", "expected https"),
    ("NOTIFY_URL__default", HOOK, "after __ comes a target's name"),
    ("NOTIFY_URL__DEFAULT", HOOK, "the default target's variables have no suffix"),
    ("NOTIFY_URL__OPS_FILE", HOOK, "comes last, such as NOTIFY_URL_FILE__OPS"),
    ("NOTIFY_SECRET__OPS", SECRET_TEXT, "set NOTIFY_URL__OPS as well"),
    ("NOTIFY_PRIVATE__OPS", "true", "is one for all targets"),
    ("NOTIFY_URL", "rq://gemini-batches/a.b", "is the queue of this project's workers"),
    ("NOTIFY_URL", "rq://mail/tell", "expected rq://QUEUE/MODULE.FUNCTION"),
    ("NOTIFY_URL", "rq://mail/shop.tasks.", "expected rq://QUEUE/MODULE.FUNCTION"),
    ("NOTIFY_URL", "rq://mail/shop.1.tell", "expected rq://QUEUE/MODULE.FUNCTION"),
    ("NOTIFY_URL", "rq:///shop.tell", "expected rq://QUEUE/MODULE.FUNCTION"),
    ("NOTIFY_URL", "rq://u:p@mail/shop.tell", "expected rq://QUEUE/MODULE.FUNCTION"),
    ("NOTIFY_URL", "rq://mail/shop.tell?timeout=0", "expected rq://QUEUE/MODULE.FUNCTION"),
    ("NOTIFY_URL", "rq://mail/shop.tell?ttl=5", "expected rq://QUEUE/MODULE.FUNCTION"),
    ("NOTIFY_URL", "rq://mail/shop.tell?serializer=yaml", "expected rq://QUEUE/MODULE.FUNCTION"),
    ("NOTIFY_EVENTS", "batch.buried batch.burried", "expected types of notices, such as batch.*"),
    ("NOTIFY_EVENTS", "*", "expected types of notices"),
    ("NOTIFY_REDIS_URL", "http://x", "expected redis://"),
    ("NOTIFY_SECRET", "whsk_AAAA", "a private key is whsk_ and 32 or 64 bytes"),
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


def test_address_is_not_blamed_for_another_variable() -> None:
    with pytest.raises(SettingsError) as told:
        read(NOTIFY_URL=HOOK, NOTIFY_SECRET=SECRET_TEXT, NOTIFY_PRIVATE="yes")
    (line,) = str(told.value).splitlines()[1:]
    assert line == "  NOTIFY_PRIVATE: expected true or false"


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


@pytest.mark.parametrize(
    ("name", "url"), [("NOTIFY_URL__OPS", HOOK), ("NOTIFY_URL__B", "rq://q/m.f?timeout=9")]
)
def test_same_address_twice_is_refused(name: str, url: str) -> None:
    mine = {"NOTIFY_URL": f"{HOOK} rq://q/m.f", "NOTIFY_SECRET": SECRET_TEXT}
    secret = {f"NOTIFY_SECRET__{name.partition('__')[2]}": OTHER_TEXT}
    with pytest.raises(SettingsError, match=f"{name}: the same address is in NOTIFY_URL") as told:
        read(**{**mine, **secret, name: url})
    assert "hunter2" not in str(told.value)


def test_missing_secret_is_said() -> None:
    with pytest.raises(SettingsError, match=r"NOTIFY_SECRET: is missing: make one with .*openssl"):
        read(NOTIFY_URL=HOOK)


def test_addresses_are_never_shown() -> None:
    shown = repr(read(NOTIFY_URL=HOOK, NOTIFY_SECRET=SECRET_TEXT, SLACK_WEBHOOK_URL=SLACK))
    assert "hunter2" not in shown
    assert "0123456789abcdef" not in shown
    assert "hooks.slack.com" in shown
