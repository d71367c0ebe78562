"""One request to the API server: deadline, translation of errors, the outcome as a value."""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient
from parlance.runtime.errors import KubeRejected, KubeUnavailable
from prometheus_client import Counter, Histogram

Manifest = dict[str, Any]
"""A Kubernetes object as JSON."""

_SECONDS = Histogram("parlance_kube_request_seconds", "Requests to the Kubernetes API.", ["verb"])
_FAILURES = Counter(
    "parlance_kube_request_failures", "Requests that got no usable answer.", ["verb", "reason"]
)

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

_BEARER_SETTINGS = ["BearerToken"]
_BUSY_STATUS = (401, 408, 429, 500, 502, 503, 504)
"""Worth another try. 401 too: a token that just expired is read anew with the next request."""


class Outcome(StrEnum):
    """How the API server took a request that it understood."""

    DONE = "done"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    CONFLICT = "conflict"
    """Somebody else changed the object since it was read."""
    EXPIRED = "expired"
    """The continue token or resource version is too old; start the list again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Outcome and body; the body is the object, the list, or the server's Status."""

    outcome: Outcome
    body: Manifest


@dataclass(frozen=True, slots=True)
class Patched:
    """What became of a patch; `manifest` is the whole new object when it was done."""

    outcome: Outcome
    manifest: Manifest | None = None


class Requester:
    """The official client's connection, authentication and proxies, without its models.

    Its models of custom resources are untyped dictionaries anyway, and its generic serialisation
    walks every object twice.
    """

    def __init__(self, client: ApiClient, *, timeout_seconds: float) -> None:
        self._client = client
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)

    async def send(
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Manifest | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Answer:
        """Raises KubeUnavailable (try again) and KubeRejected (will not work)."""
        what = f"{verb} {path}"
        if query:
            path = f"{path}?{urlencode(query)}"
        headers = {"Accept": accept, "Content-Type": content_type}
        try:
            with _SECONDS.labels(verb).time():
                status, retry_after, data = await self._exchange(verb, path, headers, body)
        except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError) as exc:
            _FAILURES.labels(verb, type(exc).__name__).inc()
            raise KubeUnavailable(what) from exc
        return self._judge(what, verb, status, retry_after, data)

    async def _exchange(
        self, verb: str, path: str, headers: dict[str, str], body: Manifest | None
    ) -> tuple[int, str, bytes]:
        _, url, headers, *_ = await self._client.param_serialize(
            verb, path, header_params=headers, auth_settings=_BEARER_SETTINGS
        )
        response = await self._client.rest_client.request(  # type: ignore[no-untyped-call] # theirs
            verb, url, headers=headers, body=body, _request_timeout=self._timeout
        )
        data = await response.read()
        return response.status, response.headers.get("Retry-After", "1"), data

    def _judge(self, what: str, verb: str, status: int, retry_after: str, data: bytes) -> Answer:
        body = _parse_body(data)
        if 200 <= status < 300:
            return Answer(Outcome.DONE, body)
        reason = str(body.get("reason") or status)
        match status, reason:
            case 404, _:
                return Answer(Outcome.NOT_FOUND, body)
            case 409, "AlreadyExists":
                return Answer(Outcome.ALREADY_EXISTS, body)
            case 409, _:
                return Answer(Outcome.CONFLICT, body)
            case 410, _:
                return Answer(Outcome.EXPIRED, body)
        _FAILURES.labels(verb, reason).inc()
        if status in _BUSY_STATUS:
            delay_seconds = float(retry_after) if retry_after.isdecimal() else 1.0
            raise KubeUnavailable(what, delay_seconds=delay_seconds)
        raise KubeRejected(what, status=status, reason=str(body.get("message") or reason))


def _parse_body(data: bytes) -> Manifest:
    """JSON of the answer; an empty object for what a proxy on the way answered in its own words."""
    try:
        parsed = json.loads(data) if data else {}
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
