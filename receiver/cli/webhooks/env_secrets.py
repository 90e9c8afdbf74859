"""The signing secrets that an env file holds, which `create` and `rotate` write there.

Several secrets are written with commas between them: Docker takes a line as it is, quotes and all,
and a shell or systemd would need quotes around spaces.
"""

import re
from collections.abc import Iterable, Sequence

from receiver.errors import EnvFileError
from receiver.settings.env_files import find_values, put_value
from receiver.settings.secret_files import file_variable
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


def refuse_secret_files(data: bytes, names: Sequence[str]) -> None:
    """Raises EnvFileError where a file of its own holds the secrets: a line here would stop all."""
    for name in map(file_variable, names):
        if any(value.strip() for value, _ in find_values(data, name)):
            raise EnvFileError(
                f"the secret comes from a file, which {name} names in the env file:"
                " leave --env-file"
                " out, and put the secret that is printed into that file",
            )


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
