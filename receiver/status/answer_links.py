"""Where one result has its page. Pure."""

from urllib.parse import quote, urlencode

MAX_KEY_CHARACTERS = 300  # in an address, where each may take a dozen
_RESOLVED = frozenset({"", ".", ".."})  # a browser or a proxy leaves these out of a path


def is_addressable(key: str) -> bool:
    """Whether an address can hold a key as it is."""
    return (
        len(key) <= MAX_KEY_CHARACTERS
        and key.isprintable()
        and _RESOLVED.isdisjoint(key.split("/"))
    )


def result_path(
    batch_path: str, key: str | None, line: int | None = None, filter_: str = ""
) -> str:
    """The page of a result, beside others that the list is narrowed to.

    With the line, it is that one of several results of one key, and needs no key that an address
    can hold.
    """
    query = {"line": str(line)} if line is not None else {}
    if filter_:
        query["outcome"] = filter_
    if key is None or is_addressable(key):
        path = quote(key or "")
    else:
        path = ""
        if line is None:
            query = {"key": key.encode(errors="replace").decode()} | query
    return f"{batch_path}/results/{path}{'?' if query else ''}{urlencode(query)}"
