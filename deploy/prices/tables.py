"""The two tables as modules of Python, and how old they are. Pure but for reading them."""

import json
import runpy
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PRICES, MODELS = ROOT / "receiver/outputs/price_table.py", ROOT / "receiver/outputs/model_table.py"
MAX_AGE_DAYS = 30
MAX_LINE = 100
_NOTE = "Made by `python -m deploy.prices`."
_PRICES = f'''"""The built-in price list; PRICES_FILE names a newer one. {_NOTE}

Batch prices on which litellm and genai-prices agree, by `deploy.prices.agreement`. None: not known.
"""

from typing import Any
'''
_MODELS = f'''"""The days on which models end, as litellm has them. {_NOTE}"""

from typing import Any
'''


def render_prices(table: dict[str, Any]) -> str:
    """The text of `receiver/outputs/price_table.py`."""
    return f"{_PRICES}\nPRICES: dict[str, Any] = {_literal(table)}\n"


def render_models(table: dict[str, Any]) -> str:
    """The text of `receiver/outputs/model_table.py`."""
    return f"{_MODELS}\nMODELS: dict[str, Any] = {_literal(table)}\n"


def _literal(value: Any, indent: int = 0, used: int = 0) -> str:
    """A value as the formatter leaves it: on one line where it fits, beside `used` characters."""
    line = _one_line(value)
    if not isinstance(value, dict | list) or indent + used + len(line) <= MAX_LINE:
        return line

    inner = indent + 4
    if isinstance(value, dict):
        pairs = [(f"{json.dumps(name)}: ", item) for name, item in value.items()]
    else:
        pairs = [("", item) for item in value]
    items = [f"{name}{_literal(item, inner, len(name) + 1)}," for name, item in pairs]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    lines = "".join(f"{' ' * inner}{item}\n" for item in items)
    return f"{opening}\n{lines}{' ' * indent}{closing}"


def _one_line(value: Any) -> str:
    if isinstance(value, dict):
        items = (f"{json.dumps(name)}: {_one_line(item)}" for name, item in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_one_line, value))}]"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def read_tables() -> dict[Path, dict[str, Any]]:
    """What the repository holds, by file."""
    return {
        PRICES: runpy.run_path(str(PRICES))["PRICES"],
        MODELS: runpy.run_path(str(MODELS))["MODELS"],
    }


def find_old(tables: dict[Path, dict[str, Any]], today: date) -> list[str]:
    """Which tables are too old for a release, in words."""
    ages = {
        path: (today - date.fromisoformat(table["date"])).days for path, table in tables.items()
    }
    return [
        f"{path.relative_to(ROOT)} is {age} days old, more than {MAX_AGE_DAYS}: make it anew"
        for path, age in ages.items()
        if age > MAX_AGE_DAYS
    ]
