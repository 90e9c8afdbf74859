"""`notices keys`: the public keys that receivers of notices verify with, and new private ones."""

import secrets

import click
import msgspec

from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import print_table
from receiver.errors import SettingsError
from receiver.settings.notice_keys import NoticeKey
from receiver.settings.notice_targets import SECRET, NoticeSettings
from receiver.settings.projects import variable_of
from receiver.verification.keys import ED25519_KEY_BYTES

NONE_SET = f"no private key (whsk_…) is set in {SECRET}: `notices keys --new` makes one"


class PublicKeys(msgspec.Struct, frozen=True):
    """Those that verify the notices to the targets of one name."""

    variable: str  # that holds the private keys
    public_keys: list[str]  # `whpk_…`, in its order
    hosts: list[str]


@command("keys", "", "--new")
@click.option("--new", "is_new", is_flag=True, help="Make a private key instead.")
@json_option("JSON")
def print_keys(*, is_new: bool, as_json: bool) -> None:
    """Print the public keys (`whpk_…`) that belong to NOTIFY_SECRET.

    Receivers verify notices with them, and can't forge any. --new prints a private key for
    NOTIFY_SECRET instead, with its public key; neither is kept anywhere.
    """
    if is_new:
        _print_new(NoticeKey(secrets.token_bytes(ED25519_KEY_BYTES)), as_json=as_json)
        return
    found = _find_public_keys(load_settings().notices)
    if not found:
        raise SettingsError(NONE_SET)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    print_table(
        ("variable", "public key", "verifies notices to"),
        [
            (one.variable, public_key, " ".join(one.hosts))
            for one in found
            for public_key in one.public_keys
        ],
    )


def _print_new(key: NoticeKey, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"private_key": key.show(), "public_key": key.public_key}))
        return
    click.echo(f"{SECRET}={key.show()}")
    click.echo(f"public key, for the receiver of the notices: {key.public_key}", err=True)


def _find_public_keys(settings: NoticeSettings) -> list[PublicKeys]:
    by_name: dict[str, PublicKeys] = {}
    for target in settings.targets:
        keys = [key.public_key for key in target.keys if isinstance(key, NoticeKey)]
        if keys:
            variable = variable_of(SECRET, target.name)
            one = by_name.setdefault(target.name, PublicKeys(variable, keys, []))
            one.hosts.append(target.host)
    return list(by_name.values())
