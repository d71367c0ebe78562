"""Reading, writing and re-encoding the recordings that tests, demo and benchmarks use.

Samples are int16, shape (channels, samples). Not part of the product: it decodes in a sandbox of
its own.
"""

import enum
import fractions
import pathlib
import wave
from typing import Any

import av
import av.filter as av_filter
import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

OPUS_RATE_HZ = 48_000


class MediaFormat(enum.StrEnum):
    """What people upload; the value is the file name's ending."""

    WAV = "wav"
    MULAW = "mulaw.wav"
    MP3 = "mp3"
    M4A = "m4a"
    MP4 = "mp4"
    WEBM = "webm"
    OGG = "ogg"
    FLAC = "flac"


# The container as FFmpeg calls it, and the codec.
_ENCODERS = {
    MediaFormat.WAV: ("wav", "pcm_s16le"),
    MediaFormat.MULAW: ("wav", "pcm_mulaw"),
    MediaFormat.MP3: ("mp3", "libmp3lame"),
    MediaFormat.M4A: ("ipod", "aac"),
    MediaFormat.MP4: ("mp4", "aac"),
    MediaFormat.WEBM: ("webm", "libopus"),
    MediaFormat.OGG: ("ogg", "libopus"),
    MediaFormat.FLAC: ("flac", "flac"),
}


def read_samples(path: pathlib.Path, rate_hz: int) -> Samples:
    """All samples of a file that FFmpeg reads, resampled, its channels kept."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="s16p", layout=stream.layout, rate=rate_hz)
        parts = [
            frame.to_ndarray()
            for decoded in [*container.decode(stream), None]
            for frame in resampler.resample(decoded)
        ]
    return np.concatenate(parts, axis=1).astype(np.int16, copy=False)


def speed_up(samples: npt.NDArray[np.int16], rate_hz: int, factor: float) -> Samples:
    """One channel, said faster at the same pitch."""
    graph = av_filter.Graph()
    source = graph.add(
        "abuffer",
        sample_rate=str(rate_hz),
        sample_fmt="s16",
        channel_layout="mono",
        time_base=f"1/{rate_hz}",
    )
    sink = graph.add("abuffersink")
    tempo = graph.add("atempo", str(factor))
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate_hz
    source.push(frame)
    source.push(None)
    parts = []
    while True:
        try:
            fast = sink.pull()
            assert isinstance(fast, av.AudioFrame)
            parts.append(fast.to_ndarray())
        except (BlockingIOError, EOFError):  # FFmpeg's are these, too
            return np.concatenate(parts, axis=1).astype(np.int16, copy=False)


def write_wav(path: pathlib.Path, samples: Samples, rate_hz: int) -> None:
    """A plain 16-bit WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.T.astype("<i2").tobytes())


def write_wav_of_size(path: pathlib.Path, samples: Samples, rate_hz: int, size_bytes: int) -> None:
    """A WAV file of about that size which says the same again and again; written in pieces."""
    piece = samples.T.astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        for _ in range(max(1, size_bytes // len(piece))):
            file.writeframesraw(piece)


def read_duration_seconds(path: pathlib.Path) -> float:
    """The length of a WAV file by its header."""
    with wave.open(str(path), "rb") as file:
        return file.getnframes() / file.getframerate()


def encode(source: pathlib.Path, target: pathlib.Path, media_format: MediaFormat) -> None:
    """Re-encode a WAV file; an MP4 gets a picture too, as recordings of meetings have."""
    container_name, codec = _ENCODERS[media_format]
    with wave.open(str(source), "rb") as file:
        rate_hz, channels = file.getframerate(), file.getnchannels()
    target_rate_hz = OPUS_RATE_HZ if codec == "libopus" else rate_hz
    layout = "mono" if channels == 1 else "stereo"
    samples = read_samples(source, target_rate_hz)
    with av.open(str(target), "w", format=container_name) as container:
        stream: Any = container.add_stream(codec, rate=target_rate_hz)
        stream.codec_context.layout = layout
        if media_format is MediaFormat.MP4:
            _add_picture(container, samples.shape[1] / target_rate_hz)
        for frame in _split_into_frames(samples, target_rate_hz, layout):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _split_into_frames(samples: Samples, rate_hz: int, layout: str) -> list[av.AudioFrame]:
    frames = []
    for start in range(0, samples.shape[1], rate_hz):
        piece = np.ascontiguousarray(samples[:, start : start + rate_hz])
        frame = av.AudioFrame.from_ndarray(piece, format="s16p", layout=layout)
        frame.sample_rate = rate_hz
        frame.pts = start
        frame.time_base = fractions.Fraction(1, rate_hz)
        frames.append(frame)
    return frames


def _add_picture(container: Any, duration_seconds: float) -> None:
    """One grey picture per second; this writes the header, so the sound is there before it."""
    stream = container.add_stream("libx264", rate=1)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    for second in range(int(duration_seconds) + 1):
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), format="rgb24")
        frame.pts = second
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_unique(source: pathlib.Path, target: pathlib.Path, mark: int) -> pathlib.Path:
    """A copy of a WAV that sounds the same but has other bytes: the API refuses duplicates.

    Appends a chunk to the RIFF file that every reader skips. Returns `target`.
    """
    data = source.read_bytes()
    chunk = b"junk" + (4).to_bytes(4, "little") + mark.to_bytes(4, "little")
    size_bytes = int.from_bytes(data[4:8], "little") + len(chunk)
    target.write_bytes(data[:4] + size_bytes.to_bytes(4, "little") + data[8:] + chunk)
    return target
