"""The settings that jobs of this process run with: read once by the worker, inherited by its work-horses."""

import functools
import os

from receiver.settings.settings import Settings, read_settings


@functools.cache
def current_settings() -> Settings:
    """The environment's settings. Raises SettingsError."""
    return read_settings(os.environ)
