"""The status page's routes, below `/status`; there are none without STATUS_TOKEN."""

from collections.abc import Callable, Iterator

import redis
from starlette.requests import Request
from starlette.routing import Route

from receiver.settings.settings import Settings
from receiver.status.endpoints.answers import AnswerEndpoints
from receiver.status.endpoints.batches import BatchEndpoints
from receiver.status.endpoints.common import Site
from receiver.status.endpoints.deliveries import DeliveriesEndpoints
from receiver.status.endpoints.notices import NoticesEndpoints
from receiver.status.endpoints.overview import OverviewEndpoints
from receiver.status.endpoints.running import RunningEndpoints
from receiver.status.endpoints.session import SessionEndpoints
from receiver.status.endpoints.submissions import SubmissionEndpoints
from receiver.status.endpoints.system import SystemEndpoints

TABS = (
    OverviewEndpoints,
    BatchEndpoints,
    AnswerEndpoints,
    RunningEndpoints,
    SubmissionEndpoints,
    DeliveriesEndpoints,
    NoticesEndpoints,
    SystemEndpoints,
)


def status_routes(
    settings: Settings, client_of: "Callable[[Request], redis.Redis]"
) -> Iterator[Route]:
    """Everything below `/status`. `client_of` gives the process's client of Redis, once it runs."""
    site = Site(settings, client_of)
    for endpoints in (SessionEndpoints, *TABS):
        yield from endpoints(site).routes()
