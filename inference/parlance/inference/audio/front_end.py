"""The whole way from PCM to windows for one call: synchronous, deterministic, flat in memory.

Called by `windows` on a thread. Everything happens on a fixed grid of about 8 s of call time, so
the order of the windows of two channels does not depend on how the PCM arrives.
"""

import dataclasses
import hashlib

import numpy as np
from parlance.contracts.calls import ChannelPolicy, Speech
from parlance.inference.audio import channels, packer, speech, vad
from parlance.inference.audio.channels import SAMPLE_RATE_HZ, ChannelPlan, Samples
from parlance.inference.audio.packer import PackerOptions, Window
from parlance.inference.audio.speech import SpeechOptions

GRID_FRAMES = 256
"""Frames of 32 ms that go through the model at once: as fast as thousands at once."""
GRID_SAMPLES = GRID_FRAMES * vad.FRAME_SAMPLES
_SLACK_SECONDS = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class FrontEndOptions:
    speech: SpeechOptions = dataclasses.field(default_factory=SpeechOptions)
    packer: PackerOptions = dataclasses.field(default_factory=PackerOptions)

    def __post_init__(self) -> None:
        # A span is known when its silence has lasted; by then its pad must have been read.
        if self.packer.pad_seconds > self.speech.min_silence_seconds:
            raise ValueError("pad_seconds may not be longer than min_silence_seconds")
        longest = self.speech.max_speech_seconds + 2 * self.packer.pad_seconds
        if longest > self.packer.max_window_seconds:
            raise ValueError("the longest span and its pads must fit into a window")

    @classmethod
    def for_windows(cls, max_seconds: float) -> "FrontEndOptions":
        """The usual options with windows of at most `max_seconds`."""
        packer = PackerOptions(max_window_seconds=max_seconds)
        longest = max_seconds - 2 * packer.pad_seconds - _SLACK_SECONDS
        return cls(speech=SpeechOptions(max_speech_seconds=longest), packer=packer)

    @property
    def fingerprint(self) -> str:
        """Names these options: another value means that the same bytes give other windows."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


class FrontEnd:
    """One call. Feed interleaved PCM, take windows; `finish` gives the last ones."""

    def __init__(
        self,
        model: vad.VadModel,
        policy: ChannelPolicy,
        source_channels: int,
        options: FrontEndOptions | None = None,
    ) -> None:
        self._model = model
        self._options = options or FrontEndOptions()
        self._source_channels = source_channels
        self._planner = channels.ChannelPlanner(policy, source_channels)
        self._waiting: list[Samples] = []
        self._waiting_samples = 0
        self._channels: list[_Channel] = []
        self._windows_made = 0

    @property
    def plan(self) -> ChannelPlan | None:
        """None until enough was read; always there after `finish`."""
        return self._planner.plan

    @property
    def speech(self) -> tuple[Speech, ...]:
        """Voice activity so far, per channel; what call metrics rest on."""
        return tuple(
            Speech(channel=number, spans=tuple(channel.spans))
            for number, channel in enumerate(self._channels)
        )

    @property
    def processed_seconds(self) -> float:
        """Call time that went through voice detection."""
        return self._channels[0].processed_samples / SAMPLE_RATE_HZ if self._channels else 0.0

    def feed(self, data: bytes) -> list[Window]:
        """Interleaved int16 PCM of any length; the windows that became complete."""
        samples = channels.split(data, self._source_channels)
        self._waiting.append(samples)
        self._waiting_samples += samples.shape[1]
        if self._planner.plan is None:
            self._planner.feed(samples)
        return self._process_grid() if self._planner.plan is not None else []

    def finish(self) -> list[Window]:
        """The call is over: the windows that were still open."""
        self._planner.finish()
        windows = self._process_grid()
        rest = self._take(self._waiting_samples)
        sounds = []
        for channel, samples in zip(self._channels, rest, strict=True):
            sounds += channel.finish(samples)
        return windows + self._number(sounds)

    def _process_grid(self) -> list[Window]:
        plan = self._planner.plan
        assert plan is not None
        if not self._channels:
            self._channels = [_Channel(self._model, self._options, n) for n in range(plan.channels)]
        windows: list[Window] = []
        while self._waiting_samples >= GRID_SAMPLES:
            sounds = []
            for channel, samples in zip(self._channels, self._take(GRID_SAMPLES), strict=True):
                sounds += channel.feed(samples)
            windows += self._number(sounds)
        return windows

    def _take(self, count: int) -> Samples:
        """The next samples as the plan wants them, shape (call channels, count)."""
        plan = self._planner.plan
        assert plan is not None
        empty = np.zeros((self._source_channels, 0), np.int16)
        waiting = np.concatenate([empty, *self._waiting], axis=1)
        self._waiting = [waiting[:, count:]]
        self._waiting_samples -= count
        return plan.apply(waiting[:, :count])

    def _number(self, sounds: list[packer.Sound]) -> list[Window]:
        """Of the windows made in one step of the grid, the one that began first comes first."""
        sounds.sort(key=lambda sound: (sound.parts[0][0], sound.channel))
        first = self._windows_made
        self._windows_made += len(sounds)
        return [sound.build_window(first + n) for n, sound in enumerate(sounds)]


class _Channel:
    """One channel of the call."""

    def __init__(self, model: vad.VadModel, options: FrontEndOptions, channel: int) -> None:
        self._model = model
        self._state = vad.VadState()
        self._tracker = speech.SpeechTracker(options.speech)
        self._packer = packer.ChannelPacker(options.packer, channel)
        self._tail = packer.AudioTail()
        self._pad = round(options.packer.pad_seconds * SAMPLE_RATE_HZ)
        self.processed_samples = 0
        self.spans: list[tuple[float, float]] = []

    def feed(self, samples: Samples) -> list[packer.Sound]:
        """Whole frames."""
        self._tail.append(samples)
        spans = self._track(samples)
        return self._pack(spans) + self._packer.advance(self._tail.end_sample)

    def finish(self, samples: Samples) -> list[packer.Sound]:
        """The last samples, of any length."""
        self._tail.append(samples)
        missing = -len(samples) % vad.FRAME_SAMPLES
        spans = self._track(np.pad(samples, (0, missing))) if len(samples) else []
        spans += self._tracker.finish(self._tail.end_sample)
        self.processed_samples = self._tail.end_sample
        return self._pack(spans) + self._packer.finish()

    def _track(self, samples: Samples) -> list[speech.Span]:
        probabilities = self._model.run(samples, self._state)
        frames = samples.astype(np.float32).reshape(-1, vad.FRAME_SAMPLES)
        energies = np.einsum("ij,ij->i", frames, frames)
        self.processed_samples += len(samples)
        return self._tracker.feed(probabilities.tolist(), energies.tolist())

    def _pack(self, spans: list[speech.Span]) -> list[packer.Sound]:
        sounds = []
        for span in spans:
            sounds += self._packer.add(span, self._tail)
            self._note(span)
        open_since = self._tracker.open_since_sample
        needed = self._tail.end_sample if open_since is None else open_since
        # A span may begin with the very next frame, and its pad reaches back.
        self._tail.forget_before(needed - self._pad)
        return sounds

    def _note(self, span: speech.Span) -> None:
        """Remember the span for call metrics; parts of one cut span are joined again."""
        start, end = span.start_sample / SAMPLE_RATE_HZ, span.end_sample / SAMPLE_RATE_HZ
        if self.spans and self.spans[-1][1] == start:
            start = self.spans.pop()[0]
        self.spans.append((start, end))
