"""Small calls for the tests of this folder."""

from collections.abc import Sequence

from parlance.contracts.calls import MediaInfo, ModelInfo, Role, Segment, Speech, Transcript
from parlance.inference.analysis import call
from parlance.inference.analysis.call import Call, Utterance
from parlance.inference.analysis.sentences import Sentence

Times = Sequence[tuple[float, float]]


def utterance(
    content: str,
    start: float = 0.0,
    end: float | None = None,
    *,
    speaker: int = 0,
    role: Role = Role.UNKNOWN,
    id_: str = "",
    word_times: tuple[tuple[float, float], ...] = (),
) -> Utterance:
    """One second per character unless `end` says otherwise, so that places are easy to work out."""
    until = start + len(content) if end is None else end
    key = f"speaker_{speaker}"
    return Utterance(
        id_ or f"{start}-{speaker}", speaker, key, role, start, until, content, word_times
    )


def build_call(
    *utterances: Utterance,
    voice: Sequence[Times] | None = None,
    duration: float = 60.0,
    language: str = "en",
) -> Call:
    """`voice`: times of speech by channel."""
    speech = [Speech(channel=c, spans=tuple(spans)) for c, spans in enumerate(voice or ())]
    return call.build_call(
        duration_seconds=duration, language=language, utterances=utterances, speech=speech
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
