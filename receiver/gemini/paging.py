"""Gemini's lists, which come in pages."""

from collections.abc import Iterator
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from receiver.errors import AnswerTooLargeError, GeminiError
from receiver.gemini.transport import Transport, decode

PAGE_SIZE = 100
CAMEL_CASE = ("pageSize", "pageToken", "nextPageToken")
SNAKE_CASE = ("page_size", "page_token", "next_page_token")
NO_ITEMS, NO_TOKEN = msgspec.Raw(b"[]"), msgspec.Raw(b'""')
T = TypeVar("T")


def list_items(
    transport: Transport,
    collection: str,
    item: type[T],
    *,
    member: str | None = None,
    names: tuple[str, str, str] = CAMEL_CASE,
) -> Iterator[T]:
    """Every item of a collection such as "batches", in the API's order, fetched page by page.

    `member` is what holds a page's items, unless it is called like the collection. Where inlined
    responses make a page too large, smaller ones are asked for. Raises GeminiError.
    """
    what = f"the list of {collection}"
    size_name, token_name, next_name = names
    size, token, seen = PAGE_SIZE, "", set[str]()

    while True:
        query = urlencode({size_name: size} | ({token_name: token} if token else {}))
        try:
            page = decode(
                transport.get(f"{collection}?{query}", what), dict[str, msgspec.Raw], what
            )
        except AnswerTooLargeError:
            if size == 1:
                raise
            size = max(1, size // 4)
            continue

        yield from decode(page.get(member or collection, NO_ITEMS), list[item], what)  # type: ignore[valid-type]
        token = decode(page.get(next_name, NO_TOKEN), str, what)
        if not token:
            return
        if token in seen:
            raise GeminiError(f"Gemini's list of {collection} goes in circles", retryable=True)
        seen.add(token)
