"""CallJobs, Events and the few cluster objects that devstack makes. Opened once per process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from parlance.contracts.crs import meta
from parlance.contracts.crs.v1alpha1 import calljob
from parlance.runtime.errors import KubeRejected
from parlance.runtime.kube import connection, requests
from parlance.runtime.kube.requests import Manifest, Outcome, Patched
from parlance.runtime.settings import KubeSettings

USER_AGENT = "parlance"
PAGE_SIZE = 500
_API_ROOT = f"/apis/{meta.GROUP}/{meta.VERSION}"
_LIVE = f"!{meta.TERMINAL_LABEL}"
_MAX_EVENT_MESSAGE_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class CallJobPage:
    """One page of a list. An empty `continue_token` means the last page."""

    items: list[Manifest]
    continue_token: str
    remaining: int
    """How many more match, as far as the server counts them."""


class Kube:
    """The Kubernetes API as Parlance uses it.

    Every method raises KubeUnavailable when the API server is away or busy, and KubeRejected when
    it refuses the object itself. `namespace` defaults to the settings'.
    """

    def __init__(self, requester: requests.Requester, *, namespace: str) -> None:
        self._requester = requester
        self._namespace = namespace

    # --- CallJobs ---------------------------------------------------------------------------

    async def create_calljob(self, manifest: Manifest, *, namespace: str | None = None) -> bool:
        """False when an object of this name exists: it was made before."""
        answer = await self._requester.send("POST", self._path(namespace), body=manifest)
        if answer.outcome is Outcome.NOT_FOUND:
            raise KubeRejected("a CallJob", status=404, reason="the namespace or CRD is missing")
        return answer.outcome is Outcome.DONE

    async def get_calljob(self, name: str, *, namespace: str | None = None) -> Manifest | None:
        answer = await self._requester.send("GET", self._path(namespace, name))
        return answer.body if answer.outcome is Outcome.DONE else None

    async def list_calljobs(
        self,
        *,
        label_selector: str = "",
        limit: int = PAGE_SIZE,
        continue_token: str = "",
        namespace: str | None = None,
        is_metadata_only: bool = False,
    ) -> CallJobPage:
        """One page. `namespace` "" lists all namespaces.

        `is_metadata_only` spares the server and us the rest: items hold `metadata` only.
        """
        query: dict[str, str | int] = {"limit": limit}
        if label_selector:
            query["labelSelector"] = label_selector
        if continue_token:
            query["continue"] = continue_token
        accept = requests.METADATA_LIST if is_metadata_only else requests.JSON
        answer = await self._requester.send(
            "GET", self._path(namespace), query=query, accept=accept
        )
        metadata = answer.body.get("metadata", {})
        return CallJobPage(
            items=answer.body.get("items") or [],  # null when an empty list is metadata only
            continue_token=metadata.get("continue", "") if _is_done(answer) else "",
            remaining=int(metadata.get("remainingItemCount", 0)),
        )

    async def iterate_calljobs(
        self,
        *,
        label_selector: str = "",
        namespace: str | None = None,
        is_metadata_only: bool = False,
    ) -> AsyncIterator[Manifest]:
        """All pages; a list that takes longer than the server remembers ends early."""
        token = ""
        while True:
            page = await self.list_calljobs(
                label_selector=label_selector,
                continue_token=token,
                namespace=namespace,
                is_metadata_only=is_metadata_only,
            )
            for item in page.items:
                yield item
            token = page.continue_token
            if not token:
                return

    async def count_live_calljobs(self, *, namespace: str | None = None) -> int:
        """Jobs that are not finished. Cheap: metadata of all, no spec, no status."""
        count = 0
        async for _ in self.iterate_calljobs(
            label_selector=_LIVE, namespace=namespace, is_metadata_only=True
        ):
            count += 1
        return count

    async def delete_calljob(
        self, name: str, *, namespace: str | None = None, uid: str | None = None
    ) -> bool:
        """False when there is none (any more), or when `uid` names another incarnation."""
        body: Manifest = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if uid:
            body["preconditions"] = {"uid": uid}
        answer = await self._requester.send("DELETE", self._path(namespace, name), body=body)
        return answer.outcome is Outcome.DONE

    async def patch_calljob(
        self,
        name: str,
        patch: Manifest,
        *,
        namespace: str | None = None,
        resource_version: str | None = None,
    ) -> Patched:
        """Merge patch of metadata and spec; with `resource_version` only if nobody was faster."""
        return await self._patch(self._path(namespace, name), patch, resource_version)

    async def patch_calljob_status(
        self,
        name: str,
        patch: Manifest,
        *,
        namespace: str | None = None,
        resource_version: str | None = None,
    ) -> Patched:
        """Merge patch `{"status": ...}`; with `resource_version` only if nobody was faster."""
        return await self._patch(f"{self._path(namespace, name)}/status", patch, resource_version)

    async def _patch(self, path: str, patch: Manifest, resource_version: str | None) -> Patched:
        if resource_version:
            patch = patch | {
                "metadata": patch.get("metadata", {}) | {"resourceVersion": resource_version}
            }
        answer = await self._requester.send(
            "PATCH", path, body=patch, content_type=requests.MERGE_PATCH
        )
        return Patched(answer.outcome, answer.body if _is_done(answer) else None)

    def _path(self, namespace: str | None, name: str = "") -> str:
        namespace = self._namespace if namespace is None else namespace
        scope = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        path = f"{_API_ROOT}{scope}/{calljob.PLURAL}"
        return f"{path}/{quote(name, safe='')}" if name else path

    # --- Events -----------------------------------------------------------------------------

    async def create_event(
        self,
        *,
        namespace: str,
        name: str,
        uid: str,
        reason: str,
        message: str,
        is_warning: bool,
        component: str,
        instance: str = "",
    ) -> bool:
        """A Kubernetes Event about a CallJob, for `kubectl describe`.

        False when the namespace is going away.
        """
        event = build_event(
            namespace=namespace,
            name=name,
            uid=uid,
            reason=reason,
            message=message,
            is_warning=is_warning,
            component=component,
            instance=instance,
            at=datetime.now(UTC),
        )
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/events"
        answer = await self._requester.send("POST", path, body=event)
        return answer.outcome is Outcome.DONE

    # --- cluster objects, for devstack and tests ----------------------------------------------

    async def create_namespace(self, name: str) -> bool:
        """False when it exists."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        answer = await self._requester.send("POST", "/api/v1/namespaces", body=body)
        return answer.outcome is Outcome.DONE

    async def apply_crd(self, manifest: Manifest) -> None:
        """Create or update a CRD; returns before the API server serves it (`is_crd_served`)."""
        name = quote(manifest["metadata"]["name"], safe="")
        await self._requester.send(
            "PATCH",
            f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}",
            query={"fieldManager": USER_AGENT, "force": "true"},
            body=manifest,
            content_type=requests.APPLY_PATCH,
        )

    async def is_crd_served(self) -> bool:
        """Whether CallJobs can be listed already."""
        answer = await self._requester.send("GET", self._path(None), query={"limit": 1})
        return answer.outcome is Outcome.DONE


def build_event(
    *,
    namespace: str,
    name: str,
    uid: str,
    reason: str,
    message: str,
    is_warning: bool,
    component: str,
    instance: str,
    at: datetime,
) -> Manifest:
    """The Event object; the server makes its name unique."""
    stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{name[:200]}.", "namespace": namespace},
        "involvedObject": {
            "apiVersion": meta.API_VERSION,
            "kind": calljob.KIND,
            "namespace": namespace,
            "name": name,
            "uid": uid,
        },
        "type": "Warning" if is_warning else "Normal",
        "reason": reason,
        "message": message[:_MAX_EVENT_MESSAGE_LENGTH],
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": instance,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }


def _is_done(answer: requests.Answer) -> bool:
    return answer.outcome is Outcome.DONE


@asynccontextmanager
async def open_kube(settings: KubeSettings) -> AsyncIterator[Kube]:
    """Load the credentials and keep a connection pool until the context ends.

    Does not wait for the API server; the first request tells.
    """
    configuration = await connection.load_configuration(settings)
    async with connection.build_client(configuration) as client:
        client.user_agent = USER_AGENT
        requester = requests.Requester(client, timeout_seconds=settings.kube_timeout_seconds)
        yield Kube(requester, namespace=settings.namespace)
