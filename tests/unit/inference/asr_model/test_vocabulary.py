"""Prompts and words with the real tokenizer of tiny.en."""

import pytest
from asr.config import parse_config
from asr.errors import InvalidWindow
from asr.options import Options
from asr.vocabulary import MAX_PROMPT_TOKENS, Vocabulary

START, NO_TIMESTAMPS, PREVIOUS = 50257, 50362, 50360


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(parse_config({}, {}).model, is_multilingual=False)


def encode(vocabulary: Vocabulary, text: str) -> list[int]:
    return vocabulary.build_prompt(Options(prompt=text))[1:-1]


def test_an_english_model_needs_only_the_start(vocabulary: Vocabulary) -> None:
    assert vocabulary.build_prompt(Options()) == [START]
    assert vocabulary.build_prompt(Options(timestamps=False)) == [START, NO_TIMESTAMPS]


def test_a_hint_stands_before_the_start(vocabulary: Vocabulary) -> None:
    prompt = vocabulary.build_prompt(Options(prompt="Parlance"))

    assert prompt[0] == PREVIOUS
    assert prompt[-1] == START
    assert vocabulary.decode(prompt) == " Parlance"


@pytest.mark.parametrize("timestamps", [True, False])
def test_a_hint_of_too_many_tokens_keeps_its_end(vocabulary: Vocabulary, timestamps: bool) -> None:
    options = Options(prompt="京" * 490 + " Parlance", timestamps=timestamps)

    prompt = vocabulary.build_prompt(options)

    assert len(prompt) == MAX_PROMPT_TOKENS
    assert prompt[0] == PREVIOUS
    assert vocabulary.decode(prompt).endswith("京 Parlance")


@pytest.mark.parametrize("language", ["auto", "en", "en-GB", "EN_us"])
def test_every_kind_of_english_is_english(vocabulary: Vocabulary, language: str) -> None:
    assert vocabulary.resolve_language(language) == "en"


def test_another_language_is_refused_by_an_english_model(vocabulary: Vocabulary) -> None:
    with pytest.raises(InvalidWindow, match="knows English only, not 'fr-CA'"):
        vocabulary.build_prompt(Options(language="fr-CA"))


def test_words_are_split_at_spaces_and_keep_their_punctuation(vocabulary: Vocabulary) -> None:
    tokens = encode(vocabulary, "The noisiest authorities, I'm told.")

    words = vocabulary.split_words(tokens, "en")

    assert [text for text, _ in words] == [" The", " noisiest", " authorities,", " I'm", " told."]
    assert sum(count for _, count in words) == len(tokens)


def test_a_character_of_several_tokens_stays_whole(vocabulary: Vocabulary) -> None:
    tokens = encode(vocabulary, "東京 Tokyo")

    words = vocabulary.split_words(tokens, "ja")

    assert "".join(text for text, _ in words).strip() == "東京 Tokyo"
    assert not any("\ufffd" in text for text, _ in words)
