"""What worker and analysis process say to each other."""

import pytest
from parlance.contracts.analysis.insights import AnalyzerError, CallSentiment, TrackerResult
from parlance.contracts.calls import Role, Sentiment
from parlance.inference.analysis import reports
from parlance.inference.analysis.analyzers.base import Findings
from parlance.inference.analysis.analyzers.keywords import KeywordAnalyzer
from parlance.inference.analysis.analyzers.sentiment import SentimentAnalyzer, SentimentFindings
from parlance.inference.analysis.analyzers.trackers import TrackerFindings
from parlance.inference.analysis.isolation import frames
from parlance.inference.analysis.isolation.frames import Kind

from tests.unit.inference.analysis.calls import unit

NEUTRAL = Sentiment(score=0.0, label="neutral")


def merged(findings: Findings) -> tuple[dict[str, object], int]:
    fields: dict[str, object] = {}
    parts = list(frames.format_parts(findings))
    for part in parts:
        kind, length = frames.parse_header(part[: frames.HEADER.size])
        payload = part[frames.HEADER.size :]
        assert (kind, length) == (Kind.PART, len(payload))
        frames.merge_part(fields, payload)
    return fields, len(parts)


def test_utterances_come_back_as_they_were() -> None:
    said = [
        unit("Hé \x00 “you”\n", 0.1, 0.3, role=Role.AGENT, word_times=((0.1, 0.2),)),
        unit("", 1, 2, speaker=1),
    ]

    frame = frames.format_units(said)

    assert frames.parse_units(frame[frames.HEADER.size :]) == said


def test_many_findings_travel_in_small_parts_and_come_back_whole() -> None:
    whole = CallSentiment(overall=NEUTRAL, quarters=(None, NEUTRAL), trend="stable", speakers=())
    by_segment = {str(n): NEUTRAL for n in range(1234)}

    fields, parts = merged(SentimentFindings(sentiment=whole, segment_sentiments=by_segment))

    assert fields == {"sentiment": whole, "segment_sentiments": by_segment}
    assert parts == 1 + 3


def test_lists_keep_their_order() -> None:
    results = tuple(TrackerResult(name=str(n), matched=False, hits=()) for n in range(25))

    assert merged(TrackerFindings(trackers=results)) == ({"trackers": results}, 3)


@pytest.mark.parametrize("header", [b"x\x00\x00\x00\x01", b"p\xff\xff\xff\xff", b"\xff" * 5])
def test_what_is_no_frame_is_refused(header: bytes) -> None:
    with pytest.raises(frames.BrokenStream):
        frames.parse_header(header)


def test_an_answer_brings_all_that_was_found_and_how_each_analyser_fared() -> None:
    whole = CallSentiment(overall=NEUTRAL, quarters=(None, NEUTRAL), trend="stable", speakers=())
    analyzer = SentimentAnalyzer()
    found = SentimentFindings(sentiment=whole, segment_sentiments={"0": NEUTRAL})
    reports_sent = [
        reports.build_success(analyzer, found, seconds=0.25),
        reports.build_failure(KeywordAnalyzer(), AnalyzerError.INTERNAL, trace="there"),
    ]

    frame = frames.format_answer(reports_sent)
    answer = frames.Answer.model_validate_json(frame[frames.HEADER.size :])

    assert answer.fields == {"sentiment": whole, "segment_sentiments": {"0": NEUTRAL}}
    assert [(note.run, note.trace) for note in answer.ended] == [
        (report.run, report.trace) for report in reports_sent
    ]
