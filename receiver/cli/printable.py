"""Texts of others on a terminal: no control character may move the cursor or begin a line of its own."""


def printable(text: str) -> str:
    r"""Every character that is not printable becomes a question mark.

    >>> printable("a\n\x1b[2Jb")
    'a??[2Jb'
    """
    return "".join(char if char.isprintable() else "?" for char in text)
