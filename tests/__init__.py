"""What pytest or `python -m tests.chaos` starts reads no settings file of a developer."""

import os

os.environ |= {"RECEIVER_ENV_FILE": "none", "DATA_FOLDER": os.devnull}
