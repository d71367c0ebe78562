"""Word error rate after Whisper's English normaliser; the measure of the demo and the tests."""

import jiwer
from whisper_normalizer.english import EnglishTextNormalizer


def word_error_rate(reference: str, hypothesis: str) -> float:
    """Share of words that are wrong, 0.0 is perfect."""
    normalize = EnglishTextNormalizer()
    return float(jiwer.wer(normalize(reference), normalize(hypothesis)))
