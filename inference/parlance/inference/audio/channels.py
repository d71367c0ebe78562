"""Channels of a recording: keeping two speakers apart, and seeing when there is only one.

Decided once per call, from the first seconds with sound, before any window exists.
"""

import dataclasses
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from parlance.contracts.calls import ChannelPolicy

Samples = npt.NDArray[np.int16]
"""int16, 16 kHz. Shape (samples,) for one channel, (channels, samples) for several."""

SAMPLE_RATE_HZ = 16_000

_STEP_SAMPLES = SAMPLE_RATE_HZ
_ACTIVE_RMS = 60.0
"""About -55 dBFS: above the idle noise of a line, below quiet speech."""
_SAME_CORRELATION = 0.98
_DIFFERENT_CORRELATION = 0.90
_MIN_ACTIVE_STEPS = 3
_ENOUGH_ACTIVE_STEPS = 10
_MAX_STEPS = 120
"""A call that is silent for two minutes is decided as it stands, so that memory stays flat."""


class Reason(StrEnum):
    """Why a plan is what it is; goes into logs."""

    ONE_CHANNEL = "one_channel"
    ASKED = "asked"
    MANY_CHANNELS = "many_channels"
    SAME_SOUND = "same_sound"
    TWO_SPEAKERS = "two_speakers"


@dataclasses.dataclass(frozen=True, slots=True)
class ChannelPlan:
    """How the source's channels become the call's: kept apart, or mixed into one."""

    channels: int
    """Channels of the call."""
    reason: Reason

    def apply(self, samples: Samples) -> Samples:
        """(source channels, n) -> (call channels, n)."""
        if samples.shape[0] == self.channels:
            return samples
        # int32 on the way: a sum of channels does not fit. Floor division is exact and portable.
        mixed: Samples = (samples.sum(axis=0, dtype=np.int32) // len(samples)).astype(np.int16)
        return mixed[np.newaxis, :]


def split(data: bytes, channels: int) -> Samples:
    """Interleaved int16 little endian -> (channels, samples), contiguous by channel."""
    frames = np.frombuffer(data, dtype="<i2").reshape(-1, channels)
    return np.ascontiguousarray(frames.T, dtype=np.int16)


class ChannelPlanner:
    """Looks at a recording until it knows its plan.

    Stereo is "the same sound twice" when the correlation of all seconds with sound is over 0.98.
    One silent side is not: its speaker may just not have spoken yet, and a silent channel costs
    nothing but its voice detection.
    """

    def __init__(self, policy: ChannelPolicy, source_channels: int) -> None:
        self.plan = _plan_at_once(policy, source_channels)
        """None as long as it is not known."""
        self._rest: Samples = np.zeros((source_channels, 0), dtype=np.int16)
        self._steps = 0
        self._active_steps = 0
        self._sums = np.zeros(3)

    def feed(self, samples: Samples) -> None:
        """Look at the next samples, shape (2, n); whole seconds only, so that the size of the
        blocks does not matter."""
        self._rest = np.concatenate((self._rest, samples), axis=1)
        while self.plan is None and self._rest.shape[1] >= _STEP_SAMPLES:
            self._look(self._rest[:, :_STEP_SAMPLES])
            self._rest = self._rest[:, _STEP_SAMPLES:]
            self.plan = self._decide()

    def finish(self) -> ChannelPlan:
        """The recording is over: decide with what there was."""
        if self.plan is None:
            if self._rest.size:
                self._look(self._rest)
            self.plan = _plan_stereo(self._correlation > _SAME_CORRELATION)
        return self.plan

    def _look(self, samples: Samples) -> None:
        left, right = samples.astype(np.float64)
        self._steps += 1
        if max(np.sqrt(np.mean(left**2)), np.sqrt(np.mean(right**2))) < _ACTIVE_RMS:
            return
        self._active_steps += 1
        left -= left.mean()
        right -= right.mean()
        self._sums += (left @ left, right @ right, left @ right)

    @property
    def _correlation(self) -> float:
        """In [-1, 1]; 0 while a side is silent."""
        left, right, both = self._sums
        return float(both / np.sqrt(left * right)) if left > 0 and right > 0 else 0.0

    def _decide(self) -> ChannelPlan | None:
        is_clear = self._correlation < _DIFFERENT_CORRELATION
        if is_clear and self._active_steps >= _MIN_ACTIVE_STEPS:
            return _plan_stereo(is_same=False)
        if self._active_steps >= _ENOUGH_ACTIVE_STEPS or self._steps >= _MAX_STEPS:
            return _plan_stereo(self._correlation > _SAME_CORRELATION)
        return None


def _plan_at_once(policy: ChannelPolicy, source_channels: int) -> ChannelPlan | None:
    if source_channels == 1:
        return ChannelPlan(1, Reason.ONE_CHANNEL)
    if policy is ChannelPolicy.MONO:
        return ChannelPlan(1, Reason.ASKED)
    # Surround sound of a video is one scene, not one speaker per channel.
    return ChannelPlan(1, Reason.MANY_CHANNELS) if source_channels > 2 else None


def _plan_stereo(is_same: bool) -> ChannelPlan:
    return ChannelPlan(1, Reason.SAME_SOUND) if is_same else ChannelPlan(2, Reason.TWO_SPEAKERS)
