"""The model's tokens: special ones by name, prompts for the decoder, text from tokens."""

from collections.abc import Sequence
from pathlib import Path

import tokenizers

from asr.errors import InvalidWindow, UnusableModel
from asr.options import AUTO, Options

ENGLISH = "en"
# Written without spaces: every readable token is a word of its own.
UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
BROKEN = "\ufffd"
CONTEXT_TOKENS = 448
"""What Whisper's decoder holds, prompt and text together."""
MAX_PROMPT_TOKENS = CONTEXT_TOKENS // 2


class Vocabulary:
    """tokenizer.json of a Whisper model."""

    def __init__(self, folder: Path, *, is_multilingual: bool) -> None:
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise UnusableModel(f"no tokenizer.json in {folder}")
        self._tokenizer = tokenizers.Tokenizer.from_file(str(file))
        self.is_multilingual = is_multilingual
        self.end_of_text = self._special("<|endoftext|>")
        self.timestamp_begin = self._special("<|notimestamps|>") + 1
        self._start = self._special("<|startoftranscript|>")

    def build_prompt(self, options: Options) -> list[int]:
        """Tokens the decoder starts from, at most `MAX_PROMPT_TOKENS`; raise InvalidWindow for a
        language it does not know.

        `auto` stands as English until `with_language` puts the detected language in.
        """
        language = self.resolve_language(options.language)
        start = [self._start]
        if self.is_multilingual:
            start += [self._special(f"<|{language}|>"), self._special("<|transcribe|>")]
        if not options.timestamps:
            start.append(self.timestamp_begin - 1)
        return self._encode_previous(options.prompt, MAX_PROMPT_TOKENS - len(start)) + start

    def with_language(self, prompt: Sequence[int], token: str) -> list[int]:
        """`prompt` with the language token `token` (`<|de|>`) in its place."""
        at = prompt.index(self._start) + 1
        return [*prompt[:at], self._special(token), *prompt[at + 1 :]]

    def resolve_language(self, language: str) -> str:
        """The model's code for a BCP-47 tag (`en-GB` is `en`)."""
        code = language.lower().replace("_", "-").split("-")[0]
        if code == AUTO:
            return ENGLISH
        if not self.is_multilingual and code != ENGLISH:
            raise InvalidWindow(f"this model knows English only, not {language!r}")
        if self._tokenizer.token_to_id(f"<|{code}|>") is None:
            raise InvalidWindow(f"this model does not know the language {language!r}")
        return code

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of `tokens`; special tokens are left out."""
        return str(self._tokenizer.decode([t for t in tokens if t < self.end_of_text]))

    def build_start(self, language: str) -> list[int]:
        """The prompt without timestamps and context, which alignment wants."""
        return self.build_prompt(Options(language=language))

    def split_words(self, tokens: Sequence[int], language: str) -> list[tuple[str, int]]:
        """Words as written, each with the number of its tokens; together they are all tokens."""
        words: list[tuple[str, int]] = []
        pending: list[int] = []
        for token in tokens:
            pending.append(token)
            text = self.decode(pending)
            if BROKEN in text:  # a character may take several tokens
                continue
            if words and not text.startswith(" ") and language not in UNSPACED:
                before, count = words[-1]
                words[-1] = (before + text, count + len(pending))
            else:
                words.append((text, len(pending)))
            pending = []
        return words

    def _encode_previous(self, text: str, max_tokens: int) -> list[int]:
        """Of a text that is too long the end is kept, as Whisper keeps the end of what was said
        before: 500 characters of Chinese are more tokens than the decoder has places."""
        if not text.strip():
            return []
        ids = self._tokenizer.encode(f" {text.strip()}", add_special_tokens=False).ids
        return [self._special("<|startofprev|>"), *ids[-(max_tokens - 1) :]]

    def _special(self, token: str) -> int:
        identifier = self._tokenizer.token_to_id(token)
        if identifier is None:
            raise UnusableModel(f"tokenizer.json has no token {token}")
        return int(identifier)
