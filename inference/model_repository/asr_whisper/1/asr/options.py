"""The OPTIONS tensor: one JSON object per window, parsed strictly (unknown keys are errors)."""

import json
from dataclasses import dataclass, fields
from typing import Any

from asr.errors import InvalidWindow

AUTO = "auto"
MAX_BEAM = 5
MAX_PROMPT_CHARS = 500
MAX_UNIX_SECONDS = 1e11  # the year 5138


@dataclass(frozen=True)
class Options:
    """How one window is transcribed."""

    language: str = AUTO
    """Language code (`en`), or `auto`: detected per window by a multilingual model."""
    timestamps: bool = True
    """Sentence-size segments with times; without, a window is one segment and a little faster."""
    words: bool = False
    """Word times by alignment; costs about a third more."""
    beam: int = 1
    """Beam width; 1 is greedy."""
    prompt: str = ""
    """Names and terms to expect in the audio, not instructions."""
    sent_unix_seconds: float | None = None
    """When the request left, by a clock that client and model share; gives `queue_us`."""


_TYPES: dict[str, tuple[type, ...]] = {
    "language": (str,),
    "timestamps": (bool,),
    "words": (bool,),
    "beam": (int,),
    "prompt": (str,),
    "sent_unix_seconds": (int, float, type(None)),
}


def parse_options(text: bytes) -> Options:
    """Parse one OPTIONS value; empty means every default."""
    if not text:
        return Options()
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise InvalidWindow("OPTIONS is not JSON") from exc
    if not isinstance(values, dict):
        raise InvalidWindow("OPTIONS is not a JSON object")
    for key, value in values.items():
        _check(key, value)
    return _check_ranges(Options(**values))


def _check(key: str, value: Any) -> None:
    if key not in _TYPES:
        known = ", ".join(field.name for field in fields(Options))
        raise InvalidWindow(f"OPTIONS has an unknown key {key!r}; known are {known}")
    is_flag = isinstance(value, bool)
    if not isinstance(value, _TYPES[key]) or (is_flag and bool not in _TYPES[key]):
        raise InvalidWindow(f"OPTIONS.{key} has the wrong type: {type(value).__name__}")
    if isinstance(value, str) and not _is_text(value):
        raise InvalidWindow(f"OPTIONS.{key} is not text")


def _is_text(value: str) -> bool:
    """JSON can spell half a character, which no tokenizer takes."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_ranges(options: Options) -> Options:
    if not 1 <= options.beam <= MAX_BEAM:
        raise InvalidWindow(f"OPTIONS.beam must be 1 to {MAX_BEAM}, not {options.beam}")
    if len(options.prompt) > MAX_PROMPT_CHARS:
        raise InvalidWindow(f"OPTIONS.prompt is longer than {MAX_PROMPT_CHARS} characters")
    sent = options.sent_unix_seconds
    if sent is not None and not 0 <= sent <= MAX_UNIX_SECONDS:
        raise InvalidWindow("OPTIONS.sent_unix_seconds is not a time")
    return options
