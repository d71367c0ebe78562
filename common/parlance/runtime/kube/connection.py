"""Where the API server is and who we are: one loader for our client and for kopf's watch."""

import ipaddress
import os
import pathlib
import urllib.parse
from dataclasses import dataclass

from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from parlance.runtime.errors import KubeUnavailable
from parlance.runtime.settings import KubeSettings

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
