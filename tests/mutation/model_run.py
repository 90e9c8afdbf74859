"""`python -m tests.mutation.model_run`: one seed of the ledger's model; exit code 1 if it is refused.

Of `tests/model/test_model.py`, without making a refused run as short as it can be: a mutant needs
no explanation.
"""

import sys

from tests.model.running import run, running_client


def main() -> None:
    with running_client() as client:
        try:
            run(client, 1, shrink=False)
        except Exception:  # noqa: BLE001 - also a script that Redis refuses, or an odd answer
            sys.exit(1)


if __name__ == "__main__":
    main()
