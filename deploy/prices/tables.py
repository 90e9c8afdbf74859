"""The two tables as modules of Python, and how old they are. Pure but for reading them."""

import json
import runpy
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PRICES, MODELS = ROOT / "receiver/outputs/price_table.py", ROOT / "receiver/outputs/model_table.py"
MAX_AGE_DAYS = 30
_NOTE = "Made by `python -m deploy.prices`."
_PRICES = f'''"""The price list that comes with the program; PRICES_FILE names a newer one. {_NOTE}

Batch prices that litellm and genai-prices both vouch for, as `deploy.prices.agreement` has it. None: not known.
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


def _literal(table: dict[str, Any]) -> str:
    """As the formatter leaves it."""
    lines = json.dumps(table, indent=4).splitlines()
    text = "\n".join(
        line if line.rstrip().endswith((",", "{", "[")) else f"{line}," for line in lines
    )
    return text.removesuffix(",").replace(": null", ": None")


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
