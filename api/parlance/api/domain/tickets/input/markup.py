"""HTML of help desks and mails, as plain text.

A text counts as HTML only where it has tags that HTML knows: `<ada@example.com>` and `a < b` stay
as they are. List items and line breaks survive, scripts and styles do not, and quoted blocks get
the `> ` of mails, so that `quoting` knows them.
"""

import html
import re

import nh3

_BREAKING_NAMES = """
address article aside center dd details div dl dt fieldset figcaption figure footer form h1 h2 h3
h4 h5 h6 header li main nav ol p section summary table tr ul
"""
_INLINE_NAMES = """
a abbr b big body cite code em font head html i img input kbd label link mark meta q s samp small
span strike strong sub sup tbody td textarea tfoot th thead time tt u
"""
_BREAKING = frozenset(_BREAKING_NAMES.split())
_INLINE = frozenset(_INLINE_NAMES.split())
_NESTED = frozenset({"blockquote", "pre"})
_KEPT = _NESTED | {"br", "hr"}
_MAX_DEPTH = 3
"""Of quotes in each other; deeper ones are shown at this depth."""
_SILENT = frozenset({"script", "style", "template", "title"})
_KNOWN = "|".join(sorted(_BREAKING | _KEPT | _SILENT | _INLINE, key=len, reverse=True))

# A value ends at `<`, so that a quotation mark that is never closed does not cost a search of the
# whole text each time. A word without a value is no attribute here: `<b and c>` is mathematics.
_VALUE = r"""(?:"[^"<]*+"|'[^'<]*+'|[^\s"'<>]++)"""
_HTML = re.compile(
    rf"<(?:!doctype\s|/(?:{_KNOWN})\s*+>|(?:{_KNOWN})(?:\s++[\w:.@-]++\s*+=\s*+{_VALUE})*+\s*+/?>)",
    re.IGNORECASE | re.ASCII,
)
_PLAIN = r"""(?:"[^"<]*+"|'[^'<]*+'|[^<>"'])*+"""
_WITH_SIGNS = r"""(?:"[^"<]*+(?:<[^"<]*+){1,3}+"|'[^'<]*+(?:<[^'<]*+){1,3}+')"""
# `<` begins a tag, possibly a malformed one (a lone quotation mark, another `<`), or is text. The
# parser sees no tag that this does not see, because it nests tags without a limit. Only a few `<`
# may stand within a tag; a bound keeps the time linear.
_TAG = re.compile(
    rf"<(/?)([A-Za-z][A-Za-z0-9:-]*+)"
    rf"(?:(?:[\s/]{_PLAIN}(?:{_WITH_SIGNS}{_PLAIN}){{0,2}}+)?+>|[^<>]*+(?:<[^<>]*+){{0,3}}+>)|<(?![!?])"
)
_STRAY = re.compile(r"<(?=[A-Za-z0-9._+-]{1,64}+@)")
_TOKEN = re.compile(r"<(/?)(\w+)>|([^<]+)")
_SPACES = re.compile(r"\s+")
_BLANK_LINES = re.compile(r"\n{3,}")


def is_html(text: str) -> bool:
    return "<" in text and _HTML.search(text) is not None


def parse_html(source: str, *, max_characters: int) -> str:
    """What people would read. Of a text that gets longer than `max_characters` the rest is left
    out: it is still too long, so whoever measures it refuses it."""
    writer = _Writer()
    # Most tags are taken out before: a parser that follows the standard makes a tree whose depth is
    # up to the sender, in time that grows with its square.
    flat = _TAG.sub(_Flattener().replace, _STRAY.sub("&lt;", source))
    clean = nh3.clean(
        flat, tags=set(_KEPT), clean_content_tags=set(_SILENT), attributes={}, link_rel=None
    )
    for closing, name, text in _TOKEN.findall(clean):
        if text:
            writer.write(html.unescape(text))
        else:
            writer.mark(name, is_closing=bool(closing))
        if writer.size > max_characters:
            break
    return writer.finish()


class _Flattener:
    """Takes tags out of one text, but for those that the parser has to see."""

    def __init__(self) -> None:
        self._depths = dict.fromkeys(_NESTED, 0)

    def replace(self, match: re.Match[str]) -> str:
        if match[2] is None:
            return "&lt;"
        name, is_closing = match[2].lower(), bool(match[1])
        if name in _NESTED and not self._count(name, is_closing=is_closing):
            return "<hr>"
        if name in _KEPT or name in _SILENT:
            return f"<{match[1]}{name}>"
        if name == "li" and not is_closing:
            return "<hr>- "
        if name in _BREAKING:
            return "<hr>"
        return " " if name in ("td", "th") else ""

    def _count(self, name: str, *, is_closing: bool) -> bool:
        """Whether this tag counts: neither too deep, nor the end of nothing."""
        depth = self._depths[name] + (-1 if is_closing else 1)
        self._depths[name] = max(0, depth)
        return 0 <= depth <= _MAX_DEPTH - is_closing


class _Writer:
    """Puts lines together."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line = ""
        self._depth = 0
        self._is_literal = 0
        self.size = 0
        """Characters of whole lines, without the white space around them: not more than the
        result will have."""

    def write(self, text: str) -> None:
        if self._is_literal:
            *whole, last = text.split("\n")
            for line in whole:
                self._line += line
                self._end_line()
            self._line += last
            return
        text = _SPACES.sub(" ", text)
        if not self._line or self._line.endswith(" "):
            text = text.lstrip(" ")
        self._line += text

    def mark(self, name: str, *, is_closing: bool) -> None:
        if name == "br":
            self._end_line()
            return
        if self._line.strip():
            self._end_line()
        step = -1 if is_closing else 1
        if name == "blockquote":
            self._depth = max(0, self._depth + step)
        elif name == "pre":
            self._is_literal = max(0, self._is_literal + step)

    def finish(self) -> str:
        self._end_line()
        return _BLANK_LINES.sub("\n\n", "\n".join(self._lines)).strip()

    def _end_line(self) -> None:
        line = "> " * min(self._depth, _MAX_DEPTH) + self._line.rstrip()
        self._lines.append(line)
        self.size += len(line.strip())
        self._line = ""
