"""An env file with every setting in it, commented out but for the one that has no default."""

import re
import textwrap

from receiver.settings.settings import VARIABLES

REQUIRED = "GEMINI_API_KEY"
WIDTH = 100
OPENING = """\
# Settings of gemini-batch-receiver: copy this file to .env and fill it in, or let
# `gemini-batch-receiver init` ask for the most important ones. Every command reads .env in its
# working folder; a variable of the environment wins over its line here. A value with spaces or a #
# stands in quotes. This is the output of `gemini-batch-receiver init --example`.
"""


def make_example() -> str:
    """The whole file, with an empty line between two settings."""
    parts = [OPENING]
    for variable in VARIABLES:
        meaning = f"{_plain(variable.meaning)} (default: {variable.default})"
        lines = textwrap.wrap(meaning, WIDTH - 2, break_on_hyphens=False, break_long_words=False)
        assignment = f"{variable.name}=" if variable.name == REQUIRED else f"# {variable.name}="
        parts.append("".join(f"# {line}\n" for line in lines) + f"{assignment}\n")
    return "\n".join(parts)


def _plain(text: str) -> str:
    """Markdown without its links, which lead nowhere from here.

    >>> _plain("see [Forms](#forms); `raw`")
    'see Forms; `raw`'
    """
    return re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", text)
