"""Reads what a worker made of a call from the object store. Called by `applier`."""

import asyncio
from dataclasses import dataclass
from typing import TypeVar

from parlance.api.db import text
from parlance.api.domain.results import artefacts
from parlance.api.domain.results.artefacts import BrokenArtefact
from parlance.contracts.analysis.insights import Insights
from parlance.contracts.bus.calls import Analyzed
from parlance.contracts.calls import Transcript
from parlance.contracts.ids import CompanySlug
from parlance.contracts.values import Value
from parlance.runtime.store import Store
from pydantic import ValidationError

_Value = TypeVar("_Value", bound=Value)


@dataclass(frozen=True, slots=True)
class Artefacts:
    """What a worker made of one call."""

    transcript: Transcript
    insights: Insights


async def fetch_artefacts(store: Store, company: CompanySlug, analyzed: Analyzed) -> Artefacts:
    """Both artefacts. Raises BrokenArtefact or StoreUnavailable."""
    transcript, insights = await asyncio.gather(
        artefacts.fetch_checked(
            store, analyzed.transcript_key, analyzed.transcript_sha256, company
        ),
        artefacts.fetch_checked(store, analyzed.insights_key, analyzed.insights_sha256, company),
    )
    # In a thread: ten hours of segments take a few hundred milliseconds, in which the other
    # events must be kept alive.
    return await asyncio.to_thread(_parse, analyzed, transcript, insights)


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
