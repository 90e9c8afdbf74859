"""The sandbox as a Starlette application: all routes of Gemini's API, and `/sandbox`."""

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.sandbox.api.admin import Admin
from deploy.sandbox.api.batches import Batches
from deploy.sandbox.api.content import Content
from deploy.sandbox.api.files import Files
from deploy.sandbox.api.models import Models
from deploy.sandbox.api.uploads import Uploads
from deploy.sandbox.api.webhooks import Webhooks
from deploy.sandbox.config import SandboxConfig
from deploy.sandbox.delivery.deliveries import Dispatcher
from deploy.sandbox.delivery.signing import DynamicKeys
from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.google_api import ApiError, json_answer
from deploy.sandbox.jobs.jobs import Jobs
from deploy.sandbox.jobs.tries import Tries
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.replay import Replay

KEYLESS_PATHS = ("/.well-known/", "/sandbox/")


def create_app(config: SandboxConfig, faults: Faults | None = None) -> Starlette:
    """An empty sandbox. Its files go to `config.folder`; everything else is in memory."""
    ledger, faults = Ledger(), faults or Faults()
    dispatcher = Dispatcher(config, ledger, faults, _keys(config.replay))
    tries = Tries(faults, ledger.sightings)
    jobs = Jobs(config, ledger, dispatcher, tries)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await jobs.close()
        await dispatcher.close()

    return Starlette(
        routes=[
            *_file_routes(Files(ledger, faults), Uploads(config, ledger, faults)),
            *_batch_routes(Batches(ledger, jobs, faults)),
            *_content_routes(Content(config, ledger, faults, tries)),
            *_model_routes(Models(faults)),
            *_webhook_routes(Webhooks(config, ledger, dispatcher)),
            *_admin_routes(Admin(ledger, jobs, dispatcher, faults), dispatcher),
        ],
        middleware=[Middleware(_KeyCheck, accepted=config.api_key)],
        exception_handlers={ApiError: _refuse, HTTPException: _refuse},
        lifespan=lifespan,
    )


def _keys(replay: Replay) -> DynamicKeys:
    return DynamicKeys(replay.kids or None, publishes_rsa=replay.publishes_rsa)


def _file_routes(files: Files, uploads: Uploads) -> list[Route]:
    return [
        Route("/upload/{version}/files", uploads.handle, methods=["POST", "PUT"]),
        Route("/download/{version}/files/{file}:download", files.download, methods=["GET"]),
        Route("/{version}/files/{file}:download", files.download, methods=["GET"]),
        Route("/{version}/files/{file}", files.get, methods=["GET"]),
        Route("/{version}/files/{file}", files.delete, methods=["DELETE"]),
        Route("/{version}/files", files.list_page, methods=["GET"]),
    ]


def _batch_routes(batches: Batches) -> list[Route]:
    return [
        Route(
            "/{version}/{collection}/{model}:batchGenerateContent",
            batches.create_generate,
            methods=["POST"],
        ),
        Route(
            "/{version}/{collection}/{model}:asyncBatchEmbedContent",
            batches.create_embed,
            methods=["POST"],
        ),
        Route("/{version}/batches/{batch}:cancel", batches.cancel, methods=["POST"]),
        Route(
            "/{version}/batches/{batch}:updateGenerateContentBatch",
            batches.update,
            methods=["PATCH"],
        ),
        Route(
            "/{version}/batches/{batch}:updateEmbedContentBatch", batches.update, methods=["PATCH"]
        ),
        Route("/{version}/batches/{batch}", batches.get, methods=["GET"]),
        Route("/{version}/batches/{batch}", batches.delete, methods=["DELETE"]),
        Route("/{version}/batches", batches.list_page, methods=["GET"]),
    ]


def _content_routes(content: Content) -> list[Route]:
    return [
        Route(
            "/{version}/{collection}/{model}:generateContent", content.generate, methods=["POST"]
        ),
        Route(
            "/{version}/{collection}/{model}:countTokens", content.count_tokens, methods=["POST"]
        ),
    ]


def _model_routes(models: Models) -> list[Route]:
    return [
        Route("/{version}/models/{model}", models.get, methods=["GET"]),
        Route("/{version}/models", models.list_page, methods=["GET"]),
    ]


def _webhook_routes(webhooks: Webhooks) -> list[Route]:
    return [
        Route("/{version}/webhooks/{webhook}:ping", webhooks.ping, methods=["POST"]),
        Route(
            "/{version}/webhooks/{webhook}:rotateSigningSecret", webhooks.rotate, methods=["POST"]
        ),
        Route("/{version}/webhooks/{webhook}/rotate_secret", webhooks.rotate, methods=["POST"]),
        Route("/{version}/webhooks/{webhook}", webhooks.get, methods=["GET"]),
        Route("/{version}/webhooks/{webhook}", webhooks.update, methods=["PATCH"]),
        Route("/{version}/webhooks/{webhook}", webhooks.delete, methods=["DELETE"]),
        Route("/{version}/webhooks", webhooks.list_page, methods=["GET"]),
        Route("/{version}/webhooks", webhooks.create, methods=["POST"]),
    ]


def _admin_routes(admin: Admin, dispatcher: Dispatcher) -> list[Route]:
    async def jwks(_: Request) -> Response:
        return json_answer(
            dispatcher.keys.jwks(), headers={"cache-control": "public, max-age=3600"}
        )

    return [
        Route("/.well-known/jwks.json", jwks, methods=["GET"]),
        Route("/sandbox/ledger", admin.show_ledger, methods=["GET"]),
        Route("/sandbox/payments", admin.show_payments, methods=["GET"]),
        Route("/sandbox/faults", admin.show_faults, methods=["GET"]),
        Route("/sandbox/faults", admin.set_faults, methods=["POST"]),
        Route("/sandbox/faults", admin.reset_faults, methods=["DELETE"]),
        Route("/sandbox/state", admin.reset, methods=["DELETE"]),
        Route("/sandbox/keys:rotate", admin.rotate_keys, methods=["POST"]),
        Route("/sandbox/keys:sign", admin.sign, methods=["POST"]),
        Route("/sandbox/batches", admin.add_batch, methods=["POST"]),
        Route("/sandbox/batches/{batch}:notify", admin.notify, methods=["POST"]),
    ]


class _KeyCheck:
    """Requires an API key, except for the byte requests of an upload, whose URL is secret."""

    def __init__(self, app: ASGIApp, accepted: str | None) -> None:
        self._app = app
        self._accepted = accepted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = self._refusal(Request(scope))
            if refusal is not None:
                await refusal.answer()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, request: Request) -> ApiError | None:
        path, query = request.url.path, request.query_params
        if path.startswith(KEYLESS_PATHS) or (path.startswith("/upload/") and "upload_id" in query):
            return None
        key = request.headers.get("x-goog-api-key") or query.get("key")
        if not key:
            return ApiError(403, "The call has no API key: send one in the x-goog-api-key header.")
        if self._accepted is not None and key != self._accepted:
            reason = {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
            }
            return ApiError(
                400, "API key not valid.", details=[{**reason, "domain": "googleapis.com"}]
            )
        return None


async def _refuse(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        error = ApiError(error.status_code, f"No such call: {error.detail}")
    if not isinstance(error, ApiError):
        raise error
    return error.answer()
