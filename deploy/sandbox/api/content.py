"""The calls about a single request: generateContent, also with the tier `flex`, and countTokens."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from deploy.sandbox.config import SandboxConfig
from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.google_api import ApiError, Json, json_answer, pick, read_object
from deploy.sandbox.jobs.answers import answer_generate
from deploy.sandbox.jobs.payments import payment_for
from deploy.sandbox.jobs.tokens import count_prompt, describe_details
from deploy.sandbox.jobs.tries import Tries
from deploy.sandbox.ledger import Ledger

# HTTP statuses of the gRPC codes that requests fail with
HTTP_STATUS = {3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 13: 500, 14: 503}


class Content:
    def __init__(self, config: SandboxConfig, ledger: Ledger, faults: Faults, tries: Tries) -> None:
        self._config, self._ledger = config, ledger
        self._faults, self._tries = faults, tries

    async def generate(self, request: Request) -> Response:
        """Answer one request as its row in a batch would be answered."""
        self._faults.raise_status("generate_status")
        asked, model = await read_object(request), _model_of(request)
        tier = str(pick(asked, "serviceTier") or "standard").lower()
        try:
            body, marker = answer_generate(asked, model, self._config.seed, self._tries.find, tier)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ApiError(400, f"The request has the wrong shape: {error!r}") from error
        failure: Json | None = body.get("error") or body.get("status")
        if failure is not None:
            raise ApiError(HTTP_STATUS.get(failure["code"], 500), failure["message"])

        # It is charged for though the client may not wait for it.
        if self._config.payments:
            self._ledger.payments.append(payment_for(tier, None, asked, marker))
        await asyncio.sleep(self._faults.delay_answers_s)
        return json_answer(body["response"])

    async def count_tokens(self, request: Request) -> Response:
        """Count `contents`, or all of a `generateContentRequest`."""
        self._faults.raise_status("count_status")
        asked = await read_object(request)
        counted: Any = pick(asked, "generateContentRequest") or asked
        try:
            details = count_prompt(counted)
        except (AttributeError, TypeError) as error:
            raise ApiError(400, f"The request has the wrong shape: {error!r}") from error
        if not pick(counted, "contents"):
            raise ApiError(400, "* CountTokensRequest.contents: contents is not specified")
        total = sum(details.values())
        return json_answer({"totalTokens": total, "promptTokensDetails": describe_details(details)})


def _model_of(request: Request) -> str:
    return f"{request.path_params['collection']}/{request.path_params['model']}"
