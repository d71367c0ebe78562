"""`audio_url`: the fetch of `runtime.fetch` joined with the intake, its errors in HTTP's terms."""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from parlance.api.domain.calls.uploads.upload import Upload
from parlance.api.http import multipart
from parlance.api.http.errors import FieldError, Refused
from parlance.contracts.problems import Problem
from parlance.runtime import fetch
from parlance.runtime.fetch import Fetcher

_NOT_A_FILE = ("text/", "application/xhtml", "application/json", "application/xml")


@dataclass(frozen=True, slots=True)
class UrlFetcher:
    """Fetches addresses for uploads. One per process."""

    fetcher: Fetcher
    refusal_seconds: float
    """An address that may not be fetched is refused no sooner. The time of a lookup would tell
    whether the name exists in our network, as would another answer for one that does not."""

    async def take(self, upload: Upload, url: str) -> None:
        """Fetch an address into the store. Raises Refused, blaming the field that it stood in."""
        started = time.monotonic()
        try:
            async with self.fetcher.open_url(url) as fetched:
                await _take(upload, fetched)
        except (fetch.AddressNotAllowed, fetch.NameUnknown) as exc:
            await asyncio.sleep(started + self.refusal_seconds - time.monotonic())
            problem = Problem.URL_NOT_ALLOWED
            raise _build(problem, f"{problem.title}.", upload.audio_field) from exc
        except fetch.FetchError as exc:
            raise _refuse(exc, upload.audio_field) from exc


async def _take(upload: Upload, fetched: fetch.Fetched) -> None:
    field = upload.audio_field
    try:
        async with contextlib.aclosing(fetched.chunks()) as chunks:
            await upload.holding.take(chunks, upload.format_key, field)
    except Refused as exc:
        # A page that asks to sign in is the usual case, and deserves its own words.
        is_page = fetched.media_type.startswith(_NOT_A_FILE)
        if exc.problem is Problem.UNSUPPORTED_MEDIA and is_page:
            detail = f"The address answered with {fetched.media_type} instead of audio."
            raise _build(Problem.NOT_AUDIO, detail, field) from exc
        raise


def strip_url(url: str) -> str:
    """The address without what may be secret in it: query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"[: fetch.MAX_URL_CHARACTERS]


def format_file_name(url: str) -> str | None:
    """The last component of the path, as a label."""
    return multipart.clean_file_name(urlsplit(url).path) or None


def _refuse(exc: fetch.FetchError, field: str) -> Refused:
    match exc:
        case fetch.UpstreamTooLarge():
            return multipart.refuse_body(exc.max_bytes)
        case fetch.UpstreamRefused():
            return Refused(
                exc.problem,
                f"The address answered with status {exc.status}.",
                errors=[FieldError(f"/{field}", exc.problem.code, exc.problem.title)],
                members={"upstream_status": exc.status},
            )
        case _:
            return _build(exc.problem, exc.problem.title + ".", field)


def _build(problem: Problem, detail: str, field: str) -> Refused:
    return Refused(problem, detail, errors=[FieldError(f"/{field}", problem.code, detail)])
