"""What the operator has seen: one entry per CallJob, newest version wins.

Filled by the watch, by lists and by the answers to our own writes, in any order. Unfinished jobs
are kept parsed, with the facts heard from the bus; finished ones shrink to what their removal
needs, so that a day of them costs little.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.crs.v1alpha1.calljob import CallJob
from parlance.contracts.ids import CallId, InvalidId
from parlance.operator.planning import conditions, ending
from parlance.operator.planning.facts import Facts
from parlance.operator.work_queue import Key
from parlance.runtime.bus import Delivery
from parlance.runtime.kube import Manifest
from pydantic import ValidationError

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class LiveJob:
    """A job that is not finished, or not yet let go."""

    job: CallJob
    version: int
    facts: Facts = field(default_factory=Facts)
    verdicts: list[Delivery[Envelope]] = field(default_factory=list)
    """Terminal events that are acked once the status says the same."""
    was_sent_before: bool = False
    """Our dispatch found an earlier one of the same attempt: an operator before us had the job."""


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """What is left of a job whose end is recorded and whose finalizer is off."""

    call_id: CallId
    uid: str
    version: int
    phase: str
    ttl_seconds: int
    expires_at: datetime


Entry = LiveJob | FinishedJob


def parse_key(manifest: Manifest) -> Key:
    metadata = manifest["metadata"]
    return Key(metadata["namespace"], metadata["name"])


def parse_version(manifest: Manifest) -> int:
    """Resource versions are decimal numbers that grow, as client-go compares them since 1.35."""
    return int(manifest["metadata"]["resourceVersion"])


class JobCache:
    """All CallJobs in scope."""

    def __init__(self) -> None:
        self._entries: dict[Key, Entry] = {}
        self._key_of: dict[CallId, Key] = {}

    def get(self, key: Key) -> Entry | None:
        return self._entries.get(key)

    def find_key(self, call_id: str) -> Key | None:
        return self._key_of.get(CallId(call_id))

    def version_of(self, key: Key) -> int:
        """0 for an unknown object."""
        entry = self._entries.get(key)
        return entry.version if entry else 0

    def shrink(self, key: Key) -> None:
        """Drop what nobody needs any more of a job that was let go."""
        entry = self._entries.get(key)
        if isinstance(entry, LiveJob) and not entry.verdicts:
            self._entries[key] = _shrink(entry.job, entry.version) or entry

    def note(self, manifest: Manifest) -> bool:
        """Take in an object; False when it is no news."""
        key, version = parse_key(manifest), parse_version(manifest)
        known = self._entries.get(key)
        if known is not None and known.version >= version:
            return False
        try:
            job = CallJob.model_validate(manifest)
            call_id = job.call_id
        except (ValidationError, InvalidId) as exc:
            # The schema lets nothing of the kind in; a newer version of it might.
            _log.error("unreadable CallJob", key=key, problem=str(exc)[:500])
            return False
        self._entries[key] = _build_entry(job, version, known)
        self._key_of[call_id] = key
        return True

    def forget(self, key: Key) -> None:
        """The object is gone."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            call_id = entry.job.call_id if isinstance(entry, LiveJob) else entry.call_id
            if self._key_of.get(call_id) == key:
                del self._key_of[call_id]

    def forget_facts(self) -> None:
        """What was heard belongs to a bus that is gone. Verdicts stay true."""
        for _, live in self.iterate_live():
            if live.facts.verdict is None:
                live.facts = Facts()
            live.verdicts.clear()

    def iterate_live(self) -> Iterator[tuple[Key, LiveJob]]:
        for key, entry in self._entries.items():
            if isinstance(entry, LiveJob):
                yield key, entry

    def iterate_finished(self) -> Iterator[tuple[Key, FinishedJob]]:
        for key, entry in self._entries.items():
            if isinstance(entry, FinishedJob):
                yield key, entry


def _build_entry(job: CallJob, version: int, known: Entry | None) -> Entry:
    if isinstance(known, LiveJob) and known.job.metadata.uid == job.metadata.uid:
        known.job, known.version = job, version
        return known if known.verdicts else _shrink(job, version) or known
    return _shrink(job, version) or LiveJob(job, version)


def _shrink(job: CallJob, version: int) -> FinishedJob | None:
    """None while the job is not finished or not let go."""
    done_at = job.status.completion_time
    if not conditions.is_terminal(job.status) or ending.needs_release(job) or not done_at:
        return None
    ttl_seconds = job.spec.ttl_seconds_after_finished
    return FinishedJob(
        call_id=job.call_id,
        uid=job.metadata.uid,
        version=version,
        phase=job.status.phase or "",
        ttl_seconds=ttl_seconds,
        expires_at=done_at + timedelta(seconds=ttl_seconds),
    )
