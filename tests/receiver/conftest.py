from collections.abc import Iterator

import pytest

from tests.running import running_sandbox


@pytest.fixture(scope="session")
def sandbox_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox"), "--api-key", "right-key") as url:
        yield url
