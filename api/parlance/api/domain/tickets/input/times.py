"""Times as clients send them: RFC 3339, or an epoch number of 10 or 13 digits. Nothing is guessed.

A time without a zone is meant in the company's zone. What cannot be right is refused: a wrong unit
or century would put a ticket where no report looks.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, LiteralString
from zoneinfo import ZoneInfo

from parlance.api.domain.tickets.input import bounds
from pydantic import PlainValidator, ValidationInfo
from pydantic_core import PydanticCustomError

# What `fromisoformat` reads beyond it (week dates, no separators) stands in no RFC.
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_EPOCH_SECONDS = range(10**9, 10**10)
_EPOCH_MILLISECONDS = range(10**12, 10**13)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH = _EARLIEST


@dataclass(slots=True)
class Times:
    """How times are read in one ticket, and whether a zone had to be assumed."""

    now: datetime
    zone: ZoneInfo
    is_zone_assumed: bool = False

    def parse(self, value: object) -> datetime:
        """In UTC. Raises ValueError with what is wrong with it."""
        if isinstance(value, str):
            moment = self._parse_text(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            moment = _parse_epoch(value)
        else:
            raise ValueError("must be an RFC 3339 time or an epoch number")
        if moment < _EARLIEST:
            raise ValueError("lies before 1970")
        if moment > self.now + timedelta(seconds=bounds.MAX_AHEAD_SECONDS):
            raise ValueError("lies more than 24 hours ahead")
        return moment

    def _parse_text(self, text: str) -> datetime:
        if not _RFC_3339.fullmatch(text):
            raise ValueError("must be an RFC 3339 time, such as 2026-03-01T10:00:00+01:00")
        try:
            moment = datetime.fromisoformat(text.upper())
            if moment.tzinfo is None:
                self.is_zone_assumed = True
                moment = moment.replace(tzinfo=self.zone)
            return moment.astimezone(UTC)
        except (ValueError, OverflowError) as exc:
            raise ValueError("is no time of the calendar") from exc


def _parse_epoch(number: int) -> datetime:
    if number in _EPOCH_SECONDS:
        return _EPOCH + timedelta(seconds=number)
    if number in _EPOCH_MILLISECONDS:
        return _EPOCH + timedelta(milliseconds=number)
    raise ValueError("has neither 10 digits (seconds) nor 13 (milliseconds)")


def find_zone(name: str) -> ZoneInfo:
    """The zone of a company; UTC for a name that this system does not know."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def _validate(value: Any, info: ValidationInfo) -> datetime:
    times = info.context
    assert isinstance(times, Times), "the context of validation"
    try:
        return times.parse(value)
    except ValueError as exc:
        # By its name, since pydantic takes literal codes only.
        code: LiteralString = "invalid_time"
        raise PydanticCustomError(code, "{detail}", {"detail": str(exc)}) from exc


Time = Annotated[datetime, PlainValidator(_validate, json_schema_input_type=datetime | int)]
"""A field with a time. The context of validation is a `Times`."""
