from collections.abc import Iterator

import pytest

from tests.workers.downloading import Route, open_route


@pytest.fixture(scope="module")
def opened_route() -> Iterator[Route]:
    with open_route() as route:
        yield route


@pytest.fixture
def route(opened_route: Route) -> Route:
    """Serves its file in the best way until a test says otherwise."""
    opened_route.reset()
    return opened_route
