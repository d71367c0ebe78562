"""A call as analysers see it: utterances with their words' places, and one voice track per speaker.

Built from a transcript in the worker, sent to the analysis process batch by batch (`frames`), and
never changed. Lighter than the contract values: a day of talk must fit in little memory.
"""

import bisect
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from parlance.contracts.calls import Role, Segment, Speech, Transcript
from parlance.inference.analysis import spans, text
from parlance.inference.speakers import channels


class Utterance(NamedTuple):
    """A segment without what analysers do not read. Times are seconds of call time."""

    id: str
    channel: int
    speaker: str
    role: Role
    start: float
    end: float
    text: str
    word_times: tuple[tuple[float, float], ...] = ()
    """(start, end) of every part between spaces; empty where the model gave no word times."""

    def locate(self, begin: int, end: int) -> tuple[float, float]:
        """When text[begin:end] was said: by word times if known, else by share of characters."""
        chunks = text.split_chunks(self.text) if self.word_times else []
        if chunks and len(chunks) == len(self.word_times):
            first = max(0, bisect.bisect_right(chunks, (begin, len(self.text))) - 1)
            last = max(first, bisect.bisect_left(chunks, (end, 0)) - 1)
            return self.word_times[first][0], self.word_times[last][1]
        per_character = (self.end - self.start) / max(1, len(self.text))
        return self.start + begin * per_character, self.start + end * per_character


@dataclass(frozen=True, slots=True)
class Track:
    """When one speaker speaks: whole milliseconds, ascending, not touching each other."""

    speaker: str
    role: Role
    spans: spans.Spans


@dataclass(frozen=True, slots=True)
class Call:
    """Everything the analysers get to see."""

    duration_ms: int
    """Of the media, or to the end of the last speech if that is later."""
    language: str
    utterances: tuple[Utterance, ...]
    """By start time."""
    tracks: tuple[Track, ...]
    """By channel, then by first words."""

    @property
    def duration_seconds(self) -> float:
        return self.duration_ms / 1000


def parse_segments(segments: Iterable[Segment]) -> list[Utterance]:
    return [
        Utterance(
            segment.id,
            segment.channel,
            segment.speaker,
            segment.role,
            segment.start_seconds,
            segment.end_seconds,
            segment.text,
            tuple((word.start_seconds, word.end_seconds) for word in segment.words or ()),
        )
        for segment in segments
    ]


def parse_transcript(transcript: Transcript) -> Call:
    return build_call(
        duration_seconds=transcript.media.duration_seconds,
        language=transcript.language,
        utterances=parse_segments(transcript.segments),
        speech=transcript.speech,
    )


def build_call(
    *,
    duration_seconds: float,
    language: str,
    utterances: Iterable[Utterance],
    speech: Iterable[Speech],
) -> Call:
    """Order the utterances, and give each speaker the voice activity of their channel."""
    ordered = tuple(sorted(utterances, key=lambda u: (u.start, u.end, u.channel, u.id)))
    tracks = _build_tracks(ordered, speech)
    last_ms = max((track.spans[-1][1] for track in tracks if track.spans), default=0)
    return Call(max(spans.to_ms(duration_seconds), last_ms), language, ordered, tracks)


def _build_tracks(utterances: tuple[Utterance, ...], speech: Iterable[Speech]) -> tuple[Track, ...]:
    voice: dict[int, list[spans.Span]] = defaultdict(list)
    for part in speech:
        voice[part.channel].extend((spans.to_ms(a), spans.to_ms(b)) for a, b in part.spans)
    said: dict[tuple[int, str], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        said[utterance.channel, utterance.speaker].append(utterance)
    speakers_of: dict[int, list[str]] = defaultdict(list)
    for channel, speaker in said:
        speakers_of[channel].append(speaker)
    found: dict[str, tuple[Role, list[spans.Span]]] = {}
    for channel in sorted(voice.keys() | speakers_of.keys()):
        # Voice without words (music, a cough) still belongs to somebody: the channel's speaker.
        for speaker in speakers_of.get(channel) or [channels.format_speaker_key(channel)]:
            texts = said.get((channel, speaker), [])
            _, own = found.setdefault(speaker, (_role_of(texts), []))
            is_alone = len(speakers_of.get(channel, ())) <= 1
            own.extend(_spans_of(texts, voice.get(channel), is_alone=is_alone))
    return tuple(Track(speaker, role, spans.merge(own)) for speaker, (role, own) in found.items())


def _spans_of(
    texts: list[Utterance], voice: list[spans.Span] | None, *, is_alone: bool
) -> spans.Spans:
    """A lone speaker owns the channel's voice; several share it by their utterances' times.

    Without voice activity (`None`: the channel was never measured) the utterances' times serve.
    """
    if voice is not None and is_alone:
        return spans.merge(voice)
    told = spans.merge((spans.to_ms(u.start), spans.to_ms(u.end)) for u in texts)
    return told if voice is None else spans.intersect(told, spans.merge(voice))


def _role_of(texts: list[Utterance]) -> Role:
    return texts[0].role if texts else Role.UNKNOWN
