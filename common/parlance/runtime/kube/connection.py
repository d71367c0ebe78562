"""Where the API server is and who we are: one loader for our client and for kopf's watch."""

import ipaddress
import os
import pathlib
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration, rest
from parlance.runtime.errors import KubeUnavailable
from parlance.runtime.settings import KubeSettings

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey

_SERVICE_HOST = "KUBERNETES_SERVICE_HOST"
_BEARER = "BearerToken"


@dataclass(frozen=True, slots=True)
class KubeConnection:
    """Plain facts of a connection, for libraries that connect by themselves."""

    server: str
    ca_path: str | None
    certificate_path: str | None
    private_key_path: str | None
    token: str | None
    is_insecure: bool
    is_proxied: bool
    """Whether proxies of the environment apply; never for a server on this machine."""


class _Connector(aiohttp.TCPConnector):
    """Gives a connection that is not to be used again back at once.

    aiohttp closes it with the farewell of TLS, which a silent server never answers, and forgets it:
    asyncio then keeps the socket for 30 seconds more.
    """

    def _release(  # theirs, and private: test_kube.py tells when it is called so no longer
        self, key: "ConnectionKey", protocol: "ResponseHandler", *, should_close: bool = False
    ) -> None:
        if should_close or protocol.should_close:
            protocol.abort()
        super()._release(key, protocol, should_close=should_close)


class _RestClient(rest.RESTClientObject):
    def _create_connector(self) -> aiohttp.TCPConnector:
        return _Connector(limit=self.maxsize, ssl=self.ssl_context)


def build_client(configuration: Configuration) -> ApiClient:
    """The official client; to be opened as a context manager."""
    client = ApiClient(configuration)
    client.rest_client = _RestClient(configuration)
    return client


async def load_configuration(settings: KubeSettings) -> Configuration:
    """The pod's service account, else the kubeconfig. Raises KubeUnavailable when there is none.

    An explicit kubeconfig wins over the pod's account.
    """
    configuration = Configuration()
    try:
        if settings.kubeconfig is None and os.environ.get(_SERVICE_HOST):
            config.load_incluster_config(  # type: ignore[no-untyped-call] # theirs
                client_configuration=configuration
            )
        else:
            await config.load_kube_config(  # type: ignore[no-untyped-call] # theirs
                config_file=_find_kubeconfig(settings),
                client_configuration=configuration,
                persist_config=False,
            )
    except (config.ConfigException, OSError) as exc:
        raise KubeUnavailable(f"no usable configuration: {exc}") from exc
    configuration.client_session_kwargs = {"trust_env": _is_proxied(configuration.host)}
    return configuration


async def load_connection(settings: KubeSettings) -> KubeConnection:
    """Read the credentials again: tokens and certificates are replaced while we run."""
    configuration = await load_configuration(settings)
    bearer = await configuration.get_api_key_with_prefix(_BEARER) or ""
    return KubeConnection(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        token=bearer.partition(" ")[2] or None,
        is_insecure=not configuration.verify_ssl,
        is_proxied=_is_proxied(configuration.host),
    )


def _find_kubeconfig(settings: KubeSettings) -> str:
    path = settings.kubeconfig or pathlib.Path("~/.kube/config")
    # KUBECONFIG may list several files; the client merges them.
    return os.pathsep.join(
        str(pathlib.Path(part).expanduser()) for part in str(path).split(os.pathsep)
    )


def _is_proxied(server: str) -> bool:
    host = urllib.parse.urlsplit(server).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
