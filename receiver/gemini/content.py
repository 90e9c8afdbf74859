"""Gemini's answer to one request: https://ai.google.dev/api/generate-content."""

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from receiver.errors import NotChargedError
from receiver.gemini.models import full_model_name
from receiver.gemini.refusals import read_error, read_error_body
from receiver.gemini.transport import Transport
from receiver.http import httpx

# Flex takes 1 to 15 minutes: https://ai.google.dev/gemini-api/docs/flex-inference
FLEX_TIMEOUT = httpx.Timeout(30, connect=10, read=16 * 60)
_NAMES_OF_TIER = ("serviceTier", "service_tier", "model")  # the address names the model


def generate_flex(transport: Transport, model: str, request: Mapping[str, msgspec.Raw]) -> bytes:
    """The answer to a GenerateContentRequest in the tier `flex`, as JSON. From any thread.

    A second call pays a second time. Raises GeminiError: one that `is_certain` tells that Gemini
    charges nothing; after any other, nobody knows.
    """
    plain = {name: value for name, value in request.items() if name not in _NAMES_OF_TIER}
    content = msgspec.json.encode(plain | {"serviceTier": "flex"})
    name = full_model_name(model)
    url, what = f"{transport.root}/{quote(name)}:generateContent", f"an answer of {name}"
    response = transport.exchange("POST", url, what, content, {}, FLEX_TIMEOUT)
    if response.is_success:
        return response.content

    error = read_error(response, what)
    if not read_error_body(response.content):
        raise error  # of something on the way: Gemini may have done the work
    raise NotChargedError(
        str(error),
        status=error.status,
        retryable=error.retryable,
        retry_after_s=error.retry_after_s,
        fault=error.fault,
    ) from error
