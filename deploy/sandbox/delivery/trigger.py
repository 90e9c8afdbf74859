"""`python -m deploy.sandbox trigger`: sends one signed delivery to any receiver."""

import ipaddress
import json
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

import click
import httpx
from click.core import ParameterSource

from deploy.sandbox.config import Scheme
from deploy.sandbox.delivery.signing import is_secret, sign_v1
from deploy.sandbox.google_api import Json, encode_compact, new_id

TIMEOUT_S = 10.0
SHOWN_CHARACTERS = 2000
MOMENT = "%Y-%m-%dT%H:%M:%SZ"
FAILURE = {"error_code": 13, "error_message": "The batch failed inside the service."}
KEYS_HELP = (
    "dynamic deliveries are signed with the keys of a running sandbox: start one with "
    "`python -m deploy.sandbox serve --port 8400`, let your receiver read its key set at "
    "http://127.0.0.1:8400/.well-known/jwks.json, and give --sandbox http://127.0.0.1:8400"
)


class _UnansweredError(click.ClickException):
    """The receiver did not answer, or not with a 2xx."""


def event_of(event_type: str, subject: str) -> Json:
    """The envelope of an event about a batch, or about `subject` for other event types."""
    data: Json = {} if event_type == "ping" else {"id": subject}
    if event_type == "batch.succeeded":
        data["output_file_uri"] = f"files/batch-{subject.removeprefix('batches/')}"
    if event_type == "video.generated":
        data |= {"output_file_uri": f"files/{new_id(12)}", "file_name": "video.mp4"}
    if event_type.endswith(".failed"):
        data |= FAILURE
    return {
        "type": event_type,
        "version": "v1",
        "timestamp": time.strftime(MOMENT, time.gmtime()),
        "data": data,
    }


def _signature(event: Json, message_id: str, timestamp: int, url: str, signer: "_Signer") -> str:
    body = encode_compact(event)
    if signer.dynamic is None:
        return sign_v1([signer.secret], message_id, timestamp, body)
    asked = {
        "scheme": signer.dynamic,
        "id": message_id,
        "timestamp": timestamp,
        "audience": signer.audience or url,
    }
    answer = _post(
        f"{signer.sandbox}/sandbox/keys:sign",
        encode_compact({**asked, "event": event}),
        {},
        "the sandbox",
    )
    if not answer.is_success:
        raise _UnansweredError(f"the sandbox would not sign: {_shown(answer)}")
    signature: str = answer.json()["signature"]
    return signature


class _Signer:
    """Sign with a secret, or with the keys of a running sandbox.

    Raises click.UsageError unless exactly one of the two is given.
    """

    def __init__(self, context: click.Context) -> None:
        given = context.params
        named = context.get_parameter_source("secret") is ParameterSource.COMMANDLINE
        self.dynamic: Scheme | None = given["dynamic"]
        self.secret: str = given["secret"] or ""
        self.sandbox: str = (given["sandbox"] or "").rstrip("/")
        self.audience: str | None = given["audience"]
        if (named and self.dynamic) or not (self.secret or self.dynamic):
            raise click.UsageError("give either --secret (or GEMINI_WEBHOOK_SECRET) or --dynamic")
        if self.dynamic and not self.sandbox:
            raise click.UsageError(KEYS_HELP)
        if not self.dynamic and not is_secret(self.secret):
            raise click.UsageError(
                "the secret is not whsec_ and base64: take it from the webhook's creation"
            )


def _check_url(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    """Refuse URLs that would send a delivery unencrypted over a network."""
    if url is not None:
        parts = urlsplit(url)
        if not parts.hostname or not (
            parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
        ):
            raise click.BadParameter(f"{url} is neither an https URL nor an http one on loopback")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _post(url: str, body: bytes, headers: dict[str, str], whom: str) -> httpx.Response:
    """One POST without redirects. Raises _UnansweredError if no answer comes."""
    try:
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
            return client.post(
                url, content=body, headers={"content-type": "application/json", **headers}
            )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _UnansweredError(f"{whom} did not answer at {url}: {error!r}") from error


def _shown(answer: httpx.Response) -> str:
    """The answer without control characters, safe to print on a terminal."""
    text = "".join(
        letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in answer.text
    )
    return f"{answer.status_code} {answer.reason_phrase}\n{text[:SHOWN_CHARACTERS]}".strip()


@click.command()
@click.argument("event")
@click.option(
    "--url", required=True, callback=_check_url, help="Where to: https, or http on loopback."
)
@click.option(
    "--secret",
    envvar="GEMINI_WEBHOOK_SECRET",
    help="`whsec_…` of a static webhook; or the variable of that name.",
)
@click.option(
    "--dynamic",
    type=click.Choice(["v1a", "jwt"]),
    help="Sign as for a job's own `webhook_config.uris`.",
)
@click.option(
    "--sandbox",
    callback=_check_url,
    help="Address of the running sandbox whose keys sign a dynamic delivery.",
)
@click.option("--audience", help="`aud` of a JWT.  [default: the URL]")
@click.option("--batch", help="`data.id` of the event.  [default: made up]")
@click.option(
    "--user-metadata",
    callback=lambda *given: _read_json(given[2]),
    help="JSON object for `user_metadata`.",
)
@click.pass_context
def trigger(
    context: click.Context,
    /,
    event: str,
    url: str,
    batch: str | None,
    user_metadata: Any,
    **_: object,
) -> None:
    """
    Send one signed delivery of EVENT to a URL and print what was answered; exit code 0 for a 2xx.

    EVENT is batch.succeeded, batch.failed, batch.cancelled, batch.expired, ping, or any other type.
    """
    signer = _Signer(context)
    message = event_of(event, batch or f"batches/{new_id()}")
    if user_metadata is not None:
        message["user_metadata"] = user_metadata
    message_id, timestamp = f"msg_{uuid.uuid4()}", int(time.time())
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": _signature(message, message_id, timestamp, url, signer),
    }
    if signer.dynamic:
        click.echo(f"signed with a key of {signer.sandbox}/.well-known/jwks.json")
    click.echo(f"{message_id} {encode_compact(message).decode()}")
    answer = _post(url, encode_compact(message), headers, "the receiver")
    click.echo(_shown(answer))
    context.exit(0 if answer.is_success else 1)


def _read_json(text: str | None) -> Any:
    try:
        read = None if text is None else json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"this is no JSON: {error}") from error
    if read is not None and not isinstance(read, dict):
        raise click.BadParameter("a JSON object is needed")
    return read
