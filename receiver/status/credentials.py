"""Sessions of people who showed the token: cookies that prove themselves, so that every web process knows them. Pure.

Nothing is kept. A session ends by its own time, and all of them end when the token changes.
"""

import hashlib
import hmac

LASTS_S = 8 * 3600  # a working day
NONCE_CHARACTERS = 22


class Sessions:
    """Makes and judges what a browser brings, for one token."""

    def __init__(self, token: str) -> None:
        self._token = hashlib.sha256(token.encode()).digest()
        self._key = hmac.digest(token.encode(), b"gbr status session", "sha256")
        self._form_key = hmac.digest(token.encode(), b"gbr status form", "sha256")

    def is_token(self, shown: str) -> bool:
        """Whether this is the token; takes as long for every other text of its length."""
        return hmac.compare_digest(
            hashlib.sha256(shown.encode(errors="replace")).digest(), self._token
        )

    def begin(self, now_s: float, nonce: str) -> str:
        """The value of a cookie that is good for LASTS_S. `nonce` is 22 random characters without a dot."""
        assert len(nonce) == NONCE_CHARACTERS  # noqa: S101 - our own mistake
        head = f"{int(now_s) + LASTS_S}.{nonce}"
        return f"{head}.{_digest(self._key, head)}"

    def is_open(self, session: str, now_s: float) -> bool:
        """Whether we made this cookie, and its time is not over."""
        head, _, digest = session.rpartition(".")
        is_ours = hmac.compare_digest(
            digest.encode(errors="replace"), _digest(self._key, head).encode()
        )
        return is_ours and now_s < int(head.partition(".")[0])

    def form_token(self, session: str) -> str:
        """What every form of a session carries: a page of somebody else can't know it."""
        return _digest(self._form_key, session)

    def is_form_token(self, session: str, shown: str) -> bool:
        return hmac.compare_digest(
            shown.encode(errors="replace"), self.form_token(session).encode()
        )


def _digest(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(errors="replace"), "sha256").hex()
