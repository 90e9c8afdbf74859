from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from receiver.errors import InboxUnavailableError, SettingsError
from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from receiver.settings.redis_urls import is_checked, with_tls
from receiver.settings.settings import read_settings
from tests.tls_proxy import Certificates, make_certificates, running_tls_proxy

RIGHT = {"GEMINI_API_KEY": "key-1"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls_url(redis_url: str, certificates: Certificates) -> Iterator[str]:
    with running_tls_proxy(urlsplit(redis_url).port or 0, certificates.server_file) as port:
        yield f"rediss://127.0.0.1:{port}/0"


def ping(**environ: str) -> None:
    with connect(read_settings(RIGHT | environ).redis_url) as client:
        Inbox(client).has_due()


def test_private_ca_is_trusted(tls_url: str, certificates: Certificates) -> None:
    ping(REDIS_URL=tls_url, REDIS_CA_FILE=str(certificates.ca_file))


def test_unknown_certificate_is_refused(tls_url: str) -> None:
    with pytest.raises(
        InboxUnavailableError,
        match=r"certificate verify failed.*self-signed|unable to get local issuer",
    ):
        ping(REDIS_URL=tls_url)


def test_other_ca_is_refused(tls_url: str, tmp_path: Path) -> None:
    with pytest.raises(InboxUnavailableError, match="certificate verify failed"):
        ping(REDIS_URL=tls_url, REDIS_CA_FILE=str(make_certificates(tmp_path).ca_file))


def test_self_signed_certificate_is_taken_unchecked(tls_url: str) -> None:
    ping(REDIS_URL=tls_url, REDIS_TLS_VERIFY="false")
    ping(REDIS_URL=f"{tls_url}?ssl_cert_reqs=none")


def test_rq_connects_with_the_same_options(tls_url: str, certificates: Certificates) -> None:
    """The worker gives RQ a connection of its own, made from the same URL."""
    settings = read_settings(
        RIGHT | {"REDIS_URL": tls_url, "REDIS_CA_FILE": str(certificates.ca_file)}
    )
    with redis.Redis.from_url(settings.redis_url) as client:
        assert client.ping()


def test_password_and_options_are_kept() -> None:
    url = with_tls(
        "rediss://:p%40ss@host:6380/1?socket_timeout=3", "/etc/ca bundle.pem", verify=True
    )
    assert (
        url == "rediss://:p%40ss@host:6380/1?socket_timeout=3&ssl_ca_certs=%2Fetc%2Fca+bundle.pem"
    )
    kwargs = redis.ConnectionPool.from_url(url).connection_kwargs
    assert (kwargs["password"], kwargs["db"], kwargs["ssl_ca_certs"]) == (
        "p@ss",
        1,
        "/etc/ca bundle.pem",
    )


def test_plain_address_stays_as_it_is() -> None:
    assert with_tls("redis://host/0", None, verify=True) == "redis://host/0"


def test_checking_is_told() -> None:
    assert is_checked("rediss://host/0")
    assert not is_checked(with_tls("rediss://host/0", None, verify=False))


WRONG = [
    ({"REDIS_CA_FILE": "/nowhere.pem"}, "REDIS_CA_FILE: can't be read"),
    ({"REDIS_CA_FILE": __file__}, "REDIS_CA_FILE: can't be read"),
    ({"REDIS_TLS_VERIFY": "maybe"}, "REDIS_TLS_VERIFY: expected true or false"),
    ({"REDIS_TLS_VERIFY": "false"}, "REDIS_URL: only a rediss://"),
    (
        {"REDIS_URL": "rediss://:hunter2@h/0?ssl_cert_reqs=CERT_NONE"},
        "REDIS_URL: an option after the ?",
    ),
    ({"REDIS_URL": "redis://:hunter2@h/0?ssl_cert_reqs=none"}, "REDIS_URL: an option after the ?"),
    ({"REDIS_URL": "redis://:hunter2@h:port/0"}, "REDIS_URL: "),
]


@pytest.mark.parametrize(("environ", "said"), WRONG)
def test_wrong_option_names_itself(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as told:
        read_settings(RIGHT | environ)
    assert said in str(told.value)
    assert "hunter2" not in str(told.value)
