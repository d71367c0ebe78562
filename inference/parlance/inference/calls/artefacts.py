"""The two artefacts of a call in the store: `transcript.json` and `insights.json`.

Their keys hold their hash, so writing twice is harmless and nobody overwrites another's result.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from parlance.contracts import objects
from parlance.contracts.analysis.insights import Insights
from parlance.contracts.bus.calls import CallDispatch, Transcribed
from parlance.contracts.calls import Transcript
from parlance.contracts.ids import CallId, CompanySlug
from parlance.contracts.values import Value
from parlance.inference.engine import waits
from parlance.inference.engine.patience import Patience
from parlance.runtime.store import Store
from pydantic import ValidationError

_KeyFormatter = Callable[[CompanySlug, CallId, str], str]


@dataclass(frozen=True, slots=True)
class Artefact:
    """Where it lies and what it is."""

    key: str
    sha256: str


class ArtefactStore:
    """Writes and reads artefacts, with the worker's patience."""

    def __init__(self, store: Store, patience: Patience) -> None:
        self._store = store
        self._patience = patience

    async def put_transcript(self, dispatch: CallDispatch, transcript: Transcript) -> Artefact:
        return await self._put(dispatch, transcript, objects.format_transcript_key)

    async def put_insights(self, dispatch: CallDispatch, insights: Insights) -> Artefact:
        return await self._put(dispatch, insights, objects.format_insights_key)

    async def get_transcript(self, transcribed: Transcribed) -> Transcript | None:
        """The transcript an earlier run stored; None when the object is not what it should be,
        for then it is simply made again. Raises ObjectNotFound."""
        data = await self._patience.persist(
            waits.STORE, lambda: self._store.get_bytes(transcribed.object_key)
        )
        if hashlib.sha256(data).hexdigest() != transcribed.sha256:
            return None
        try:
            return await asyncio.to_thread(Transcript.model_validate_json, data)
        except ValidationError:
            return None

    async def _put(
        self, dispatch: CallDispatch, value: Value, format_key: _KeyFormatter
    ) -> Artefact:
        # Some megabytes for a call of ten hours: off the event loop.
        data, sha256 = await asyncio.to_thread(_serialize, value)
        key = format_key(dispatch.company, dispatch.call_id, sha256)
        await self._patience.persist(waits.STORE, lambda: self._store.put_bytes(key, data))
        return Artefact(key, sha256)


def _serialize(value: Value) -> tuple[bytes, str]:
    data = value.model_dump_json().encode()
    return data, hashlib.sha256(data).hexdigest()
