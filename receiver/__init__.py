"""The web process, and what both sides share."""

import sys

# httpx loads its own command line, and with it rich and pygments, wherever rich can be had: 3 MiB and 50 ms that every
# web process, worker and work-horse would pay. It does without where they are missing.
sys.modules["httpx._main"] = None  # type: ignore[assignment]
