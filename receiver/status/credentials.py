"""What lets a visitor in: the token, sessions made from it, and a limit on wrong tokens. Pure.

A session is a cookie that proves itself, so every web process knows it and none is stored. It ends
after its time, and all of them end when the token changes.
"""

import hashlib
import hmac

SESSION_S = 8 * 3600  # a working day
NONCE_CHARACTERS = 22
BURST = 20  # wrong tokens
REFILL_S = 3.0


class Sessions:
    """Makes and checks the cookies and form tokens of one status token."""

    def __init__(self, token: str) -> None:
        self._token = hashlib.sha256(token.encode()).digest()
        self._key = hmac.digest(token.encode(), b"gbr status session", "sha256")
        self._form_key = hmac.digest(token.encode(), b"gbr status form", "sha256")

    def is_token(self, text: str) -> bool:
        """Whether this is the token; takes as long for every other text of its length."""
        digest = hashlib.sha256(text.encode(errors="replace")).digest()
        return hmac.compare_digest(digest, self._token)

    def begin(self, now_s: float, nonce: str) -> str:
        """The value of a cookie that is valid for SESSION_S.

        `nonce` is 22 random characters without a dot, `now_s` Unix time.
        """
        assert len(nonce) == NONCE_CHARACTERS  # noqa: S101 - our own mistake
        head = f"{int(now_s) + SESSION_S}.{nonce}"
        return f"{head}.{_sign(self._key, head)}"

    def is_open(self, session: str, now_s: float) -> bool:
        """Whether we made this cookie, and its time is not over."""
        head, _, signature = session.rpartition(".")
        is_ours = _is_same(signature, _sign(self._key, head))
        return is_ours and now_s < int(head.partition(".")[0])

    def form_token(self, session: str) -> str:
        """What every form of a session carries: a page of somebody else can't know it."""
        return _sign(self._form_key, session)

    def is_form_token(self, session: str, text: str) -> bool:
        return _is_same(text, self.form_token(session))


def _sign(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(errors="replace"), "sha256").hex()


def _is_same(text: str, secret: str) -> bool:
    return hmac.compare_digest(text.encode(errors="replace"), secret.encode())


class RateLimit:
    """A token bucket: BURST wrong tokens, then one per REFILL_S, whoever sends them.

    It takes no more memory for a million wrong tokens than for one. Times are monotonic seconds.
    """

    def __init__(self, now_s: float) -> None:
        self._left, self._seen_s = float(BURST), now_s

    def wait_s(self, now_s: float) -> float:
        """How long until the next token is checked; 0 when it may be checked now."""
        self._refill(now_s)
        return max(0.0, (1 - self._left) * REFILL_S)

    def count_failure(self, now_s: float) -> None:
        """A token was wrong."""
        self._refill(now_s)
        self._left = max(0.0, self._left - 1)

    def _refill(self, now_s: float) -> None:
        self._left = min(float(BURST), self._left + (now_s - self._seen_s) / REFILL_S)
        self._seen_s = now_s
