"""Fetches what a worker left in the object store, and trusts it only when it lies with its company
and its hash is right. Called by the appliers of each kind of work.
"""

import hashlib

from parlance.contracts import objects
from parlance.contracts.ids import CompanySlug
from parlance.runtime.errors import InvalidKey, ObjectNotFound, Permanent
from parlance.runtime.store import Store


class BrokenArtefact(Permanent):
    """An artefact is missing, was changed, or does not fit the contract."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"artefact {key}: {problem}")
        self.key = key
        self.problem = problem


async def fetch_checked(store: Store, key: str, sha256: str, company: CompanySlug) -> bytes:
    """The bytes that an event announced. Raises BrokenArtefact or StoreUnavailable."""
    if not objects.is_of_company(key, company):
        raise BrokenArtefact(key, f"it does not belong to {company}")
    try:
        data = await store.get_bytes(key)
    except (ObjectNotFound, InvalidKey) as exc:
        raise BrokenArtefact(key, "missing") from exc
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BrokenArtefact(key, "its bytes are not those that were announced")
    return data
