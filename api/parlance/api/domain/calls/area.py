"""The calls area, as `wiring` puts it together."""

from litestar import Router
from litestar.di import Provide
from parlance.api.db.session import Database
from parlance.api.domain.calls import limits
from parlance.api.domain.calls.routes import Calls, CallsController
from parlance.api.domain.calls.uploads import routes as upload_routes
from parlance.api.domain.calls.uploads.accepting import Acceptor
from parlance.api.domain.calls.uploads.fetching import UrlFetcher
from parlance.api.domain.calls.uploads.form import ReadLimits
from parlance.api.domain.calls.uploads.intake import Intake
from parlance.api.domain.calls.uploads.places import PlaceLimits, Places
from parlance.api.domain.calls.uploads.reading import UploadReader
from parlance.api.domain.calls.uploads.routes import Uploads
from parlance.api.events.hub import Hub
from parlance.api.http.areas import Area
from parlance.api.http.body import Pace
from parlance.api.identity.guard import Gate
from parlance.api.outbox.deletions import Deleter
from parlance.api.outbox.relay import Relay
from parlance.api.settings import HttpSettings
from parlance.media.limits import MediaLimits
from parlance.media.spawning import Spawner
from parlance.runtime import addresses
from parlance.runtime.bus import Bus
from parlance.runtime.fetch import Fetcher, FetchPolicy
from parlance.runtime.kube import Kube
from parlance.runtime.store import Store

_KEY_ADVICE = "Send the key in X-Api-Key, or as the first field."


def build_area(
    settings: HttpSettings,
    *,
    database: Database,
    store: Store,
    bus: Bus,
    kube: Kube,
    hub: Hub,
    gate: Gate,
    relay: Relay,
    deleter: Deleter,
    spawner: Spawner | None = None,
) -> Area:
    """Calls over HTTP: uploads, reading, following, cancelling and deleting."""
    media = MediaLimits()
    intake = Intake(store, max_bytes=settings.max_upload_bytes, limits=media, spawner=spawner)
    places = Places(build_place_limits(settings))
    calls = Calls(database, store, kube, bus, hub, gate, deleter)
    uploads = Uploads(
        UploadReader(gate, places, intake, build_read_limits(settings)),
        Acceptor(database, intake, build_url_fetcher(settings), relay),
    )
    router = Router(
        "/",
        route_handlers=[CallsController, upload_routes.add_calls, upload_routes.add_call_url],
        dependencies={
            "calls": Provide(lambda: calls, sync_to_thread=False),
            "uploads": Provide(lambda: uploads, sync_to_thread=False),
        },
    )
    return Area(
        router,
        limits=(limits.build_limits(settings, media),),
        success_paths=(upload_routes.ADD_CALLS_PATH, upload_routes.ADD_CALL_URL_PATH),
    )


def build_place_limits(settings: HttpSettings) -> PlaceLimits:
    return PlaceLimits(
        running=settings.max_concurrent_uploads,
        of_company=min(settings.max_company_uploads, settings.max_concurrent_uploads),
        unkeyed=settings.max_unkeyed_uploads,
        waiting=settings.max_waiting_uploads,
        wait_seconds=settings.upload_wait_seconds,
        unkeyed_wait_seconds=settings.key_wait_seconds,
    )


def build_read_limits(settings: HttpSettings) -> ReadLimits:
    return ReadLimits(
        pace=Pace(
            idle_seconds=settings.upload_idle_seconds,
            min_bytes_per_second=settings.upload_min_bytes_per_second,
            max_wait_seconds=settings.upload_max_wait_seconds,
        ),
        unkeyed_pace=Pace(
            idle_seconds=settings.upload_idle_seconds,
            min_bytes_per_second=settings.upload_min_bytes_per_second,
            max_wait_seconds=settings.key_wait_seconds,
            advice=_KEY_ADVICE,
        ),
        unkeyed_file_bytes=settings.max_unkeyed_upload_bytes,
    )


def build_url_fetcher(settings: HttpSettings) -> UrlFetcher:
    policy = FetchPolicy(
        max_bytes=settings.max_upload_bytes,
        allow=addresses.parse_allow_list(settings.fetch_allowed_hosts),
        total_seconds=settings.fetch_timeout_seconds,
    )
    return UrlFetcher(Fetcher(policy), settings.fetch_refusal_seconds)
