import pytest

from receiver.status.credentials import BURST, REFILL_S, SESSION_S, RateLimit, Sessions

TOKEN, NONCE, NOW_S = "0123456789abcdef", "n" * 22, 1_769_083_200.0
SESSIONS = Sessions(TOKEN)
SESSION = SESSIONS.begin(NOW_S, NONCE)


def test_session_lasts_its_time() -> None:
    assert SESSIONS.is_open(SESSION, NOW_S + SESSION_S - 1)
    assert not SESSIONS.is_open(SESSION, NOW_S + SESSION_S)


def test_every_process_knows_a_session() -> None:
    assert Sessions(TOKEN).is_open(SESSION, NOW_S)
    assert Sessions(TOKEN).is_form_token(SESSION, SESSIONS.form_token(SESSION))


def test_new_token_ends_all_sessions() -> None:
    other = Sessions(TOKEN + "x")
    assert not other.is_open(SESSION, NOW_S)
    assert not other.is_form_token(SESSION, SESSIONS.form_token(SESSION))


@pytest.mark.parametrize(
    "forged",
    [
        "",
        ".",
        "..",
        SESSION[:-1],
        SESSION + "0",
        "9" + SESSION,
        SESSION.replace(NONCE, "m" * 22),
        "9999999999.x." + SESSION.rpartition(".")[2],
        SESSION.rpartition(".")[0] + ".",
        "ü.\ud800.ü",
        SESSIONS.form_token(SESSION),
    ],
)
def test_forged_session_is_none(forged: str) -> None:
    assert not SESSIONS.is_open(forged, NOW_S)


def test_form_token_fits_one_session() -> None:
    other = SESSIONS.begin(NOW_S, "o" * 22)
    assert not SESSIONS.is_form_token(other, SESSIONS.form_token(SESSION))
    assert not SESSIONS.is_form_token(SESSION, "")


@pytest.mark.parametrize("text", ["", TOKEN[:-1], TOKEN + " ", "ü" * 16, "\ud800"])
def test_another_text_is_not_the_token(text: str) -> None:
    assert not SESSIONS.is_token(text)
    assert SESSIONS.is_token(TOKEN)


def test_session_does_not_hold_the_token() -> None:
    assert TOKEN not in SESSION + SESSIONS.form_token(SESSION)


def test_burst_of_tokens_is_checked_and_then_one_per_interval() -> None:
    limit = RateLimit(0)
    for _ in range(BURST):
        assert limit.wait_s(0) == 0
        limit.count_failure(0)
    assert limit.wait_s(0) == REFILL_S
    assert limit.wait_s(REFILL_S) == 0
    limit.count_failure(REFILL_S)
    assert limit.wait_s(REFILL_S) == REFILL_S


def test_pause_refills_the_burst_and_no_more() -> None:
    limit = RateLimit(0)
    limit.count_failure(0)
    later = 1e6
    for _ in range(BURST):
        assert limit.wait_s(later) == 0
        limit.count_failure(later)
    assert limit.wait_s(later) > 0
