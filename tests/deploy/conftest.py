from tests.acceptance.conftest import stand_in_url, world

__all__ = ["stand_in_url", "world"]
