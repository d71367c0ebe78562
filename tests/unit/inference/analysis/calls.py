"""Small calls for the tests of this folder."""

from collections.abc import Sequence

from parlance.contracts.calls import MediaInfo, ModelInfo, Role, Segment, Speech, Transcript, Word
from parlance.inference.analysis.documents import Document, Unit
from parlance.inference.analysis.passages import Sentence
from parlance.inference.calls import documents

Times = Sequence[tuple[float, float]]


def unit(
    content: str,
    start: float = 0.0,
    end: float | None = None,
    *,
    speaker: int = 0,
    role: Role = Role.UNKNOWN,
    id_: str = "",
    word_times: tuple[tuple[float, float], ...] = (),
) -> Unit:
    """One second per character unless `end` says otherwise, so that places are easy to work out."""
    until = start + len(content) if end is None else end
    return Unit(
        id_ or f"{start}-{speaker}", f"speaker_{speaker}", role, start, until, content, word_times
    )


def build_call(
    *units: Unit,
    voice: Sequence[Times] | None = None,
    duration: float = 60.0,
    language: str = "en",
) -> Document:
    """`voice`: times of speech by channel; a speaker with a number speaks on that channel."""
    built = transcript(
        *(_build_segment(said) for said in units),
        voice=voice or (),
        duration=duration,
        language=language,
    )
    return documents.build_document(built)


def _build_segment(said: Unit) -> Segment:
    number = said.speaker.rpartition("_")[2]
    parts = said.text.split()
    times = said.word_times or ()
    words = tuple(
        Word(text=parts[n] if n < len(parts) else "", start_seconds=a, end_seconds=b)
        for n, (a, b) in enumerate(times)
    )
    return Segment(
        id=said.id,
        channel=int(number) if number.isdecimal() else 0,
        speaker=said.speaker,
        role=said.role,
        start_seconds=said.start,
        end_seconds=said.end,
        text=said.text,
        words=words or None,
    )


def sentence(content: str, *, speaker: int = 0, start: float = 0.0) -> Sentence:
    return Sentence(start, start + 1, f"speaker_{speaker}", f"{start}-0", content)


def segment(
    content: str,
    start: float = 0.0,
    end: float | None = None,
    *,
    channel: int = 0,
    id_: str = "",
    role: Role = Role.UNKNOWN,
) -> Segment:
    return Segment(
        id=id_ or f"{start}-{channel}",
        channel=channel,
        speaker=f"speaker_{channel}",
        role=role,
        start_seconds=start,
        end_seconds=start + 1 if end is None else end,
        text=content,
    )


def transcript(
    *segments: Segment,
    voice: Sequence[Times] = (),
    duration: float = 60.0,
    language: str = "en",
) -> Transcript:
    return Transcript(
        call_id="0190f5e2-0000-7000-8000-000000000001",
        attempt=1,
        language=language,
        media=MediaInfo(
            container="wav",
            codec="pcm_s16le",
            channels=2,
            sample_rate_hz=8000,
            duration_seconds=duration,
        ),
        model=ModelInfo(name="test", hash="0"),
        segments=segments,
        speech=tuple(Speech(channel=c, spans=tuple(spans)) for c, spans in enumerate(voice)),
    )
