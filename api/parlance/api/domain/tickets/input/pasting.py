"""A pasted conversation: who says what, from what stands in front of the lines.

    Agent: Good morning.            [10:02] Bo: Good morning.
    Bo (10:02): Good morning.       01/03/2026, 10:02 - Bo: Good morning.

Times are not read: they are of any format, and mostly without a day. What the sender meant can
only be guessed, so the result says how sure it is.
"""

import re
from collections import Counter
from dataclasses import dataclass

from parlance.contracts.calls import Role

_ROLES = {
    Role.AGENT: "agent advisor adviser assistant associate csr helpdesk operator rep representative"
    " staff support mitarbeiter mitarbeiterin berater beraterin kundendienst conseiller conseillère"
    " agente asesor operatore medewerker atendente",
    Role.CUSTOMER: "customer client user caller visitor guest buyer shopper member kunde kundin"
    " anrufer besucher cliente usuario klant",
    Role.BOT: "bot chatbot",
    Role.SYSTEM: "system sistema système",
}
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words.split()}
_NO_SPEAKER_WORDS = """
subject date from to sent cc bcc re fw fwd note notes ps nb http https ftp mailto betreff von an
datum gesendet objet de à asunto para fecha order total price phone tel email e-mail address ticket
case id status priority summary attachment attachments update edit warning error
"""
_NO_SPEAKERS = frozenset(_NO_SPEAKER_WORDS.split())
"""Words that stand in front of a colon in mails and forms."""

_TIME = r"[\d:.,/\-\sT]{3,24}?(?:[AaPp]\.?[Mm]\.?)?"
_LABEL = r"(?P<label>[^\W\d_][^:<>\[\](){}\n\"“”]{0,39}?)"
_PREFIX = re.compile(
    rf"""[ \t]*\*{{0,2}}
    (?:(?P<before>[\[(]{_TIME}[\])]|\d{_TIME}(?:[ ]-)?)[ \t]+)?
    \*{{0,2}}{_LABEL}\*{{0,2}}
    (?:[ \t]*(?P<behind>[\[(][^\[\]()\n]{{1,40}}[\])]))?
    [ \t]*:\*{{0,2}}(?:[ \t]+|$)(?P<text>.*)""",
    re.VERBOSE,
)
_MAX_LABEL_WORDS = 4
_MAX_PREFIX_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class PastedMessage:
    """One message as it was found."""

    role: Role
    author: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Pasted:
    """A conversation, and how sure it is."""

    messages: list[PastedMessage]
    confidence: float
    """In [0, 1]; 0 means that no speakers were found and all is one message."""


@dataclass(frozen=True, slots=True)
class _Prefix:
    role: Role
    author: str | None
    speaker: str
    text: str
    has_time: bool

    @property
    def is_sure(self) -> bool:
        return self.has_time or self.role is not Role.UNKNOWN


def parse_pasted(text: str) -> Pasted:
    """Lines without a speaker belong to the message before them."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    prefixes = [_parse_prefix(line) for line in lines]
    speakers = _find_speakers(lines, prefixes)
    if not speakers:
        return Pasted([PastedMessage(Role.UNKNOWN, None, text.strip())], 0.0)
    messages = _collect(lines, prefixes, speakers)
    return Pasted(messages, _rate(messages, speakers))


def _parse_prefix(line: str) -> _Prefix | None:
    match = _PREFIX.match(line[:_MAX_PREFIX_CHARACTERS])
    if match is None:
        return None
    label = match["label"].strip(" \t*")
    words = label.lower().split()
    if not 1 <= len(words) <= _MAX_LABEL_WORDS or words[0] in _NO_SPEAKERS:
        return None
    behind = (match["behind"] or "")[1:-1].strip()
    role, author = _read_label(label, words, behind)
    has_time = bool(match["before"]) or any(char.isdigit() for char in behind)
    return _Prefix(role, author, " ".join(words), line[match.start("text") :].strip(), has_time)


def _read_label(label: str, words: list[str], behind: str) -> tuple[Role, str | None]:
    """`Agent`, `Agent Bo`, `Bo (Agent)`, `Customer (Ada)`."""
    noted = _ROLE_OF.get(behind.lower())
    if noted is not None:
        return noted, label
    role = _ROLE_OF.get(words[0])
    if role is None and len(words) > 1:
        role = _ROLE_OF.get(words[-1])
        if role is not None:
            return role, label
    if role is None:
        return Role.UNKNOWN, label
    if len(words) > 1:
        return role, label.split(None, 1)[1]
    is_name = bool(behind) and not any(char.isdigit() for char in behind)
    return role, behind if is_name else None


def _find_speakers(lines: list[str], prefixes: list[_Prefix | None]) -> set[str]:
    """The labels that are people. A word with a colon occurs in any text, so a label counts when
    it names a role or stands by a time; others when most lines begin with one and one comes again,
    or beside such ones when they come again."""
    found = [prefix for prefix in prefixes if prefix is not None]
    counts = Counter(prefix.speaker for prefix in found)
    sure = {prefix.speaker for prefix in found if prefix.is_sure}
    repeated = {speaker for speaker, count in counts.items() if count > 1}
    if sure:
        return sure | repeated
    line_count = sum(bool(line.strip()) for line in lines)
    begins = next(
        (prefix for line, prefix in zip(lines, prefixes, strict=True) if line.strip()), None
    )
    if begins is None or len(counts) < 2 or not repeated or 2 * len(found) < line_count:
        return set()
    return set(counts)


def _collect(
    lines: list[str], prefixes: list[_Prefix | None], speakers: set[str]
) -> list[PastedMessage]:
    collected: list[tuple[Role, str | None, list[str]]] = [(Role.UNKNOWN, None, [])]
    for line, prefix in zip(lines, prefixes, strict=True):
        if prefix is not None and prefix.speaker in speakers:
            collected.append((prefix.role, prefix.author, [prefix.text]))
        else:
            collected[-1][2].append(line.rstrip())
    messages = [PastedMessage(role, who, "\n".join(said).strip()) for role, who, said in collected]
    return [message for message in messages if message.text]


def _rate(messages: list[PastedMessage], speakers: set[str]) -> float:
    """Surer with known roles, with two sides, and when nothing stands before the first speaker."""
    known = sum(message.role is not Role.UNKNOWN for message in messages)
    begins = bool(messages) and (messages[0].role is not Role.UNKNOWN or messages[0].author)
    rating = (
        0.3 + 0.4 * known / max(1, len(messages)) + 0.2 * (len(speakers) > 1) + 0.1 * bool(begins)
    )
    return round(rating, 2)
