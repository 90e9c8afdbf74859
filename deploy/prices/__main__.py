"""`python -m deploy.prices` writes both tables from installed packages; `--check`: are they old?"""

import sys
from datetime import UTC, date, datetime
from typing import Any

from deploy.prices.agreement import agree_on
from deploy.prices.sources import (
    load_genai_prices,
    load_litellm,
    package_versions,
    read_genai_prices,
    read_litellm,
)
from deploy.prices.tables import MODELS, PRICES, find_old, read_tables, render_models, render_prices

_ALIAS = "-latest"  # moves from model to model: results name the model that answered


def main(arguments: list[str]) -> int:
    today = datetime.now(UTC).date()
    if arguments == ["--check"]:
        old = find_old(read_tables(), today)
        print("\n".join(old) or "the tables of prices and models are new enough")
        return 1 if old else 0
    if arguments:
        print(__doc__)
        return 2
    litellm, about = load_litellm(), {"date": today.isoformat(), "source": package_versions()}
    prices = _list_prices(litellm, today)
    PRICES.write_text(render_prices({**about, "models": prices}))
    ends = {
        name: model["deprecation_date"]
        for name, model in sorted(litellm.items())
        if "deprecation_date" in model
    }
    MODELS.write_text(render_models({**about, "ends": ends}))
    print(f"{len(prices)} models have a price that both know; {len(ends)} have an end")
    return 0


def _list_prices(
    litellm: dict[str, dict[str, Any]], today: date
) -> dict[str, list[dict[str, Any]]]:
    models, found = load_genai_prices(), {}
    for name, model in sorted(litellm.items()):
        dated = None if name.endswith(_ALIAS) else read_genai_prices(models, name, today)
        if dated is not None and (entries := agree_on(read_litellm(model), dated)):
            found[name] = entries
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
