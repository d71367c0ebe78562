"""A cautious guess at who is the agent, from what the two speakers say near the start.

A wrong name is worse than none (every metric would be booked to the wrong side), so the guess is
made only when one side alone speaks like an agent. Pure; the worker calls it for two-channel
calls whose channels were not mapped by the uploader. Never used on a single channel.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from parlance.contracts.calls import Role, Segment

_OPENING_SECONDS = 90.0
_STRONG = 2
_WEAK = 1
_MIN_MARGIN = 2
_MAX_CONFIDENCE = 0.95

_AGENT_STRONG = re.compile(
    r"\bthank(?:s| you) for (?:calling|holding|contacting)\b"
    r"|\bhow (?:can|may|could) (?:i|we) (?:help|assist|direct|serve)\b"
    r"|\bwhat can i (?:help|do for) you\b"
    r"|\bwelcome to [a-z]"
    r"|\bcalls? (?:is|are|may be|will be) (?:being )?(?:recorded|monitored)\b"
    r"|\bwho am i speaking (?:with|to)\b"
)
_AGENT_WEAK = re.compile(
    r"\bmy name is\b|\bthis is \w+ (?:speaking|from|with)\b"
    r"|\b(?:can|may|could) i (?:have|get|take) your (?:full |first |last |account |order )?"
    r"(?:name|number|address|email|phone)\b"
    r"|\blet me (?:check|look|pull|see)\b|\banything else i can\b|\bfor security purposes\b"
)
_CUSTOMER_STRONG = re.compile(
    r"\bi(?:'m| am) calling (?:about|because|to|regarding|for)\b"
    r"|\bi(?: need| want| would like|'d like) to "
    r"(?:cancel|order|check|report|return|book|pay|speak)\b"
    r"|\b(?:i have|i've got) (?:a|an) (?:problem|issue|question|complaint)\b"
)


@dataclass(frozen=True, slots=True)
class RoleGuess:
    """Role by speaker key, and how sure: at least 0.5, never 1."""

    roles: dict[str, Role]
    confidence: float


def guess_roles(segments: Sequence[Segment]) -> RoleGuess | None:
    """Agent and customer of a call with exactly two speakers, or None: unknown beats wrong.

    Score of a speaker: 2 per agent phrase that customers hardly say, 1 per weaker one, -2 per
    customer phrase, each kind of evidence counted once per segment. The agent is the one ahead by
    2 or more who said a strong agent phrase, provided that the other said none.
    Confidence: 0.5 + 0.1 x margin, at most 0.95.
    """
    opening = [segment for segment in segments if segment.start_seconds < _OPENING_SECONDS]
    speakers = sorted({segment.speaker for segment in segments})
    if len(speakers) != 2:
        return None
    scores = dict.fromkeys(speakers, 0)
    strong = dict.fromkeys(speakers, False)
    for segment in opening:
        text = segment.text.casefold().replace("’", "'")
        if _AGENT_STRONG.search(text):
            strong[segment.speaker] = True
            scores[segment.speaker] += _STRONG
        scores[segment.speaker] += _WEAK * bool(_AGENT_WEAK.search(text))
        scores[segment.speaker] -= _STRONG * bool(_CUSTOMER_STRONG.search(text))
    customer, agent = sorted(speakers, key=lambda speaker: scores[speaker])
    margin = scores[agent] - scores[customer]
    if margin < _MIN_MARGIN or not strong[agent] or strong[customer]:
        return None
    confidence = min(_MAX_CONFIDENCE, 0.5 + 0.1 * margin)
    return RoleGuess({agent: Role.AGENT, customer: Role.CUSTOMER}, round(confidence, 2))
