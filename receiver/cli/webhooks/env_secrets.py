"""The signing secrets that an env file holds, which `create` and `rotate` write there.

Several secrets are written with commas between them: Docker takes a line as it is, quotes and all,
and a shell or systemd would need quotes around spaces.
"""

import re
from collections.abc import Iterable, Sequence

from receiver.errors import EnvFileError
from receiver.settings.env_files import find_values, put_value
from receiver.verification.keys import Secret


def find_secrets(data: bytes, names: Sequence[str]) -> list[Secret]:
    """The secrets of the first of the variables that is set to any.

    Raises EnvFileError where nobody could be sure which they are.
    """
    for name in names:
        lines = find_values(data, name)
        if len(lines) > 1:
            fault = f"{name} is set {len(lines)} times in the file"
            raise EnvFileError(f"{fault}: leave one line of it")
        for value, has_comment in lines:
            if has_comment:
                raise EnvFileError(
                    f"the file has a comment behind {name}, which Docker and systemd would take for"
                    " a part of the secret: move it to a line of its own",
                )
            if value:
                return _parse(value, name)
    return []


def put_secrets(data: bytes, name: str, secrets: Iterable[Secret]) -> bytes:
    """The file with the variable set to these secrets, on its own line or on a new last one."""
    return put_value(data, name, ",".join(one.show() for one in dict.fromkeys(secrets)))


def _parse(value: str, name: str) -> list[Secret]:
    try:
        return [Secret.parse(word) for word in re.split(r"[\s,]+", value) if word]
    except ValueError as error:
        raise EnvFileError(
            f"the file sets {name} to something else than secrets ({error}): correct that line",
        ) from None
