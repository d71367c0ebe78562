"""Which stretches of a mail repeat earlier ones: quoted lines, and what follows a reply's header.

They stay in the text, for people; the analysis leaves them out, so that nobody is counted for the
words of somebody else. A few languages; what is not known stays in the analysis.
"""

import re
from dataclasses import dataclass

Span = tuple[int, int]

_QUOTED = re.compile(r"[ \t]{0,3}>")
_ATTRIBUTION = re.compile(
    r"""(?:On|Am|Le|El|Il|Op|Em|W\ dniu|Den)\ .{0,200}?
    (?:wrote|schrieb(?:\ .{0,120})?|a\ écrit|escribió|ha\ scritto|schreef(?:\ .{0,120})?|escreveu
    |napisał(?:\(a\))?|skrev(?:\ .{0,120})?)\s?:\s*""",
    re.VERBOSE | re.DOTALL,
)
_ATTRIBUTION_BEGIN = re.compile(r"(?:On|Am|Le|El|Il|Op|Em|W dniu|Den) ")
_SEPARATOR = re.compile(
    r"""[ \t]*-{2,}[ ]*(?:Original[ ]Message|Original[ ]Appointment|Ursprüngliche[ ]Nachricht
    |Message[ ]d['’]origine|Mensaje[ ]original|Messaggio[ ]originale|Oorspronkelijk[ ]bericht
    |Mensagem[ ]original)[ ]*-{2,}[ \t]*""",
    re.VERBOSE | re.IGNORECASE,
)
_RULE = re.compile(r"[ \t]*_{10,}[ \t]*")
_FROM = re.compile(r"\*?(?:From|Von|De|Da|Van)\s?:\*?\s?\S", re.IGNORECASE)
_HEADER = re.compile(
    r"""\*?(?:Sent|Date|To|Cc|Subject|Gesendet|Datum|An|Betreff|Envoyé|À|Objet|Enviado(?:\ el)?
    |Fecha|Para|Asunto|Inviato|Data|A|Oggetto|Verzonden|Aan|Onderwerp|Assunto)\s?:""",
    re.VERBOSE | re.IGNORECASE,
)
_HEADER_LINES = 5
"""Within as many lines after the sender the others stand, two at least."""
_HINT = re.compile(
    r"^[ \t]{0,3}>|:[ \t*]*$|^[ \t]*-{2,}|^\*?(?:From|Von|De|Da|Van)\s?:", re.M | re.I
)
_SIGNS = (">", ":", "--")
"""One of them is in every text with a quote; most messages have none, and are done."""


@dataclass(frozen=True, slots=True)
class _Line:
    begin: int
    end: int
    """Before the line break."""
    text: str


def find_quoted(text: str) -> tuple[Span, ...]:
    """Stretches [begin, end) in characters, ascending. None where nothing else would be left: a
    message that only quotes is better read than ignored."""
    if not any(sign in text for sign in _SIGNS) or not _HINT.search(text):
        return ()
    lines = _split(text)
    spans = _join(_find(lines, len(text)))
    return tuple(spans) if _has_words_outside(text, spans) else ()


def _split(text: str) -> list[_Line]:
    lines, begin = [], 0
    for line in text.split("\n"):
        lines.append(_Line(begin, begin + len(line), line.rstrip("\r")))
        begin += len(line) + 1
    return lines


def _find(lines: list[_Line], end: int) -> list[Span]:
    spans: list[Span] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        if _QUOTED.match(line.text):
            spans.append((line.begin, line.end))
            number += 1
        elif (taken := _count_attribution(lines, number)) > 0:
            behind = _skip_blank(lines, number + taken)
            is_marked = behind < len(lines) and _QUOTED.match(lines[behind].text)
            spans.append((line.begin, lines[number + taken - 1].end if is_marked else end))
            if not is_marked:
                break
            number = behind
        elif _begins_old_mail(lines, number):
            spans.append((line.begin, end))
            break
        else:
            number += 1
    return spans


def _count_attribution(lines: list[_Line], number: int) -> int:
    """How many lines, of two at most, say who wrote what follows; mail programs wrap them."""
    if not _ATTRIBUTION_BEGIN.match(lines[number].text):
        return 0
    for count in (1, 2):
        text = " ".join(line.text for line in lines[number : number + count])
        if len(text) < 400 and _ATTRIBUTION.fullmatch(text):
            return count
    return 0


def _begins_old_mail(lines: list[_Line], number: int) -> bool:
    text = lines[number].text
    if _SEPARATOR.fullmatch(text):
        return True
    if _RULE.fullmatch(text):
        number = _skip_blank(lines, number + 1)
    if number >= len(lines) or not _FROM.match(lines[number].text):
        return False
    following = lines[number + 1 : number + 1 + _HEADER_LINES]
    return sum(bool(_HEADER.match(line.text)) for line in following) >= 2


def _skip_blank(lines: list[_Line], number: int) -> int:
    while number < len(lines) and not lines[number].text.strip():
        number += 1
    return number


def _join(spans: list[Span]) -> list[Span]:
    """Neighbouring lines are one stretch."""
    joined: list[Span] = []
    for begin, end in spans:
        if joined and begin <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


def _has_words_outside(text: str, spans: list[Span]) -> bool:
    position = 0
    for begin, end in spans:
        if text[position:begin].strip():
            return True
        position = end
    return bool(text[position:].strip())
