"""`proof-key`: tells others what to prove signed manifests with."""

import click

from receiver.cli.command import command, load_settings
from receiver.errors import SettingsError


@command("proof-key")
def proof_key() -> None:
    """Print the public key of PROOF_KEY, for `verify --public-key`. It is no secret.

    Whoever verifies must have it from you, not from the storage.
    """
    key = load_settings().proof_key
    if key is None:
        raise SettingsError(
            "PROOF_KEY is not set: make one with `openssl rand -base64 32`, and give it to the workers"
        )
    click.echo(key.public_key)
