"""Reads what a worker left in the object store, and trusts it only when its hash is right.

Called by `applier`.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TypeVar

from parlance.api.db import text
from parlance.contracts.analysis.insights import Insights
from parlance.contracts.bus.calls import Analyzed
from parlance.contracts.calls import Transcript
from parlance.contracts.values import Value
from parlance.runtime.errors import InvalidKey, ObjectNotFound, Permanent
from parlance.runtime.store import Store
from pydantic import ValidationError

_Value = TypeVar("_Value", bound=Value)


class BrokenArtefact(Permanent):
    """An artefact is missing, was changed, or does not fit the contract."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"artefact {key}: {problem}")
        self.key = key
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Artefacts:
    """What a worker made of one call."""

    transcript: Transcript
    insights: Insights


async def fetch_artefacts(store: Store, analyzed: Analyzed) -> Artefacts:
    """Both artefacts. Raises BrokenArtefact or StoreUnavailable."""
    transcript, insights = await asyncio.gather(
        _fetch(store, analyzed.transcript_key, analyzed.transcript_sha256),
        _fetch(store, analyzed.insights_key, analyzed.insights_sha256),
    )
    # In a thread: ten hours of segments take a few hundred milliseconds, in which the other
    # events must be kept alive.
    return await asyncio.to_thread(_parse, analyzed, transcript, insights)


async def _fetch(store: Store, key: str, sha256: str) -> bytes:
    try:
        data = await store.get_bytes(key)
    except (ObjectNotFound, InvalidKey) as exc:
        raise BrokenArtefact(key, "missing") from exc
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BrokenArtefact(key, "its bytes are not those that were announced")
    return data


def _parse(analyzed: Analyzed, transcript: bytes, insights: bytes) -> Artefacts:
    return Artefacts(
        transcript=_validate(Transcript, analyzed.transcript_key, transcript),
        insights=_validate(Insights, analyzed.insights_key, insights),
    )


def _validate(kind: type[_Value], key: str, data: bytes) -> _Value:
    try:
        return kind.model_validate_json(text.drop_nul(data))
    except ValidationError as exc:
        raise BrokenArtefact(key, "it does not fit the contract") from exc
