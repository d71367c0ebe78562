"""The language of `q`, parsed without Postgres. Never fails: every text means something.

    refund invoice     both words, in any order
    "sent on monday"   the words in this order, side by side
    refund or credit   either; what stands between two `or` is one alternative
    -chat  -"not now"  without this word or phrase
    refun*             words that begin so, from 3 characters

Case does not matter and words are not stemmed. What has no letter or digit is left out; so is an
alternative that only excludes, which would be nearly everything.
"""

import re
from dataclasses import dataclass, field

from parlance.api.http import fields

MAX_CHARACTERS = fields.MAX_NAME_CHARACTERS
"""Of `q`, as of every text in a query (`fields.TextIn`); bounds what a query costs to parse."""
MIN_PREFIX_CHARACTERS = 3
"""A shorter beginning stands for a large part of all words, each with a list to be read."""

_TOKEN = re.compile(r'(?P<minus>-?)"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+)')
_PREFIX = re.compile(rf"[^\W_]{{{MIN_PREFIX_CHARACTERS},}}\*")


@dataclass(slots=True)
class Alternative:
    """What one text has to hold, and what it must not."""

    words: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    phrases: list[str] = field(default_factory=list)
    excluded_words: list[str] = field(default_factory=list)
    excluded_phrases: list[str] = field(default_factory=list)

    @property
    def is_positive(self) -> bool:
        return bool(self.words or self.prefixes or self.phrases)


def parse(text: str) -> list[Alternative]:
    """The alternatives of a query; none where there is nothing to search for."""
    found = [Alternative()]
    for match in _TOKEN.finditer(text):
        word = match["word"]
        if word is None:
            _add_phrase(found[-1], match["phrase"], is_excluded=bool(match["minus"]))
        elif word.lower() == "or":
            found.append(Alternative())
        else:
            _add_word(found[-1], word)
    return [alternative for alternative in found if alternative.is_positive]


def _add_phrase(alternative: Alternative, phrase: str, *, is_excluded: bool) -> None:
    if _is_searchable(phrase):
        (alternative.excluded_phrases if is_excluded else alternative.phrases).append(phrase)


def _add_word(alternative: Alternative, word: str) -> None:
    if not _is_searchable(word):
        return
    if word.startswith("-"):
        alternative.excluded_words.append(word.lstrip("-"))
    elif _PREFIX.fullmatch(word):
        alternative.prefixes.append(word[:-1])
    else:
        alternative.words.append(word)


def _is_searchable(text: str) -> bool:
    return any(character.isalnum() for character in text)
