"""The models that the sandbox lists. Batches may use any other name, too."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.google_api import ApiError, Json, json_answer, page_of

PAGE_LIMIT = 1000
ANSWERS = ["generateContent", "countTokens", "createCachedContent", "batchGenerateContent"]
EMBEDS = ["embedContent", "countTextTokens", "countTokens", "asyncBatchEmbedContent"]
METHODS = {
    "gemini-3.8-flash": ANSWERS,
    "gemini-3.5-flash": ANSWERS,
    "gemini-3.5-flash-lite": ANSWERS,
    "gemini-3.1-pro": ANSWERS,
    "gemini-3.1-flash-image": ANSWERS,
    "gemini-3-pro-image-preview": ANSWERS,
    "gemini-2.5-pro": ANSWERS,
    "gemini-2.5-flash": ANSWERS,
    "gemini-2.5-flash-lite": ANSWERS,
    "gemini-flash-latest": ANSWERS,
    "gemini-embedding-2": EMBEDS,
    "gemini-embedding-001": EMBEDS,
}


@dataclass
class Model:
    number: int  # listed in descending order
    id: str

    def resource(self) -> Json:
        return {
            "name": f"models/{self.id}",
            "version": "001",
            "displayName": self.id.replace("-", " ").title(),
            "inputTokenLimit": 1_048_576,
            "outputTokenLimit": 65_536,
            "supportedGenerationMethods": METHODS[self.id],
        }


class Models:
    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._known = [
            Model(len(METHODS) - index, model_id) for index, model_id in enumerate(METHODS)
        ]

    async def list_page(self, request: Request) -> Response:
        query = request.query_params
        page, token = page_of(
            self._known, query.get("pageSize"), query.get("pageToken"), limit=PAGE_LIMIT
        )
        body = {"models": [model.resource() for model in page], "nextPageToken": token}
        return json_answer({name: value for name, value in body.items() if value})

    async def get(self, request: Request) -> Response:
        self._faults.raise_status("model_status")
        model_id = request.path_params["model"]
        found = next((model for model in self._known if model.id == model_id), None)
        if found is None:
            raise ApiError(
                404, f"models/{model_id} is not found for API version v1, or is not supported."
            )
        return json_answer(found.resource())
