"""A call as a document for the analysers: its segments, and the voice of each speaker."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from parlance.contracts.calls import Role, Segment, Speech, Transcript
from parlance.inference.analysis import spans
from parlance.inference.analysis.documents import Document, Track, Unit
from parlance.inference.speakers import channels


def build_document(transcript: Transcript) -> Document:
    """Takes a fraction of a second for a long call: off the event loop."""
    ordered = sorted(
        transcript.segments,
        key=lambda s: (s.start_seconds, s.end_seconds, s.channel, s.id),
    )
    tracks = _build_tracks(ordered, transcript.speech)
    last_ms = max((track.spans[-1][1] for track in tracks if track.spans), default=0)
    return Document(
        units=tuple(_build_unit(segment) for segment in ordered),
        language=transcript.language,
        # Of the media, or to the end of the last speech if that is later.
        duration_ms=max(spans.to_ms(transcript.media.duration_seconds), last_ms),
        tracks=tracks,
    )


def _build_unit(segment: Segment) -> Unit:
    return Unit(
        segment.id,
        segment.speaker,
        segment.role,
        segment.start_seconds,
        segment.end_seconds,
        segment.text,
        tuple((word.start_seconds, word.end_seconds) for word in segment.words or ()),
    )


@dataclass(slots=True)
class _Channel:
    """What was measured and said on one channel."""

    voice: list[spans.Span] | None = None
    """None: the channel was never measured."""
    said: dict[str, list[Segment]] = field(default_factory=lambda: defaultdict(list))
    """By speaker, in order of appearance."""


def _build_tracks(segments: Sequence[Segment], speech: Iterable[Speech]) -> tuple[Track, ...]:
    """By channel, then by first words."""
    by_channel: dict[int, _Channel] = defaultdict(_Channel)
    for part in speech:
        voice = by_channel[part.channel].voice or []
        voice.extend((spans.to_ms(start), spans.to_ms(end)) for start, end in part.spans)
        by_channel[part.channel].voice = voice
    for segment in segments:
        by_channel[segment.channel].said[segment.speaker].append(segment)
    found: dict[str, tuple[Role, list[spans.Span]]] = {}
    for number in sorted(by_channel):
        channel = by_channel[number]
        # Voice without words (music, a cough) still belongs to somebody: the channel's speaker.
        speakers = list(channel.said) or [channels.format_speaker_key(number)]
        for speaker in speakers:
            texts = channel.said.get(speaker, [])
            _, own = found.setdefault(speaker, (_role_of(texts), []))
            own.extend(_spans_of(texts, channel.voice, is_alone=len(speakers) == 1))
    return tuple(Track(speaker, role, spans.merge(own)) for speaker, (role, own) in found.items())


def _spans_of(
    texts: Sequence[Segment], voice: Sequence[spans.Span] | None, *, is_alone: bool
) -> spans.Spans:
    """A lone speaker owns the channel's voice; several share it by the times of their segments,
    which also serve where there is no voice activity."""
    if voice is not None and is_alone:
        return spans.merge(voice)
    told = spans.merge((spans.to_ms(s.start_seconds), spans.to_ms(s.end_seconds)) for s in texts)
    return told if voice is None else spans.intersect(told, spans.merge(voice))


def _role_of(texts: Sequence[Segment]) -> Role:
    return texts[0].role if texts else Role.UNKNOWN
