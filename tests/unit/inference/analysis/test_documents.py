"""Documents without time, such as the messages of a ticket: what analysers make of them."""

from parlance.contracts.analysis.insights import AnalyzerError, TrackerRule, TrackerRules
from parlance.contracts.calls import Role
from parlance.inference.analysis import pipeline
from parlance.inference.analysis.analyzers import sentences, sentiment, trackers
from parlance.inference.analysis.documents import Document, Unit


def build_messages(*texts: str) -> Document:
    roles = (Role.CUSTOMER, Role.AGENT)
    units = [
        Unit(f"m{n}", f"author_{n % 2}", roles[n % 2], 0.0, 0.0, content)
        for n, content in enumerate(texts)
    ]
    return Document(units, "en")


TICKET = build_messages(
    "Zebra stripes faded on my order. I want",
    "A refund is on its way. Anything else we can do for you today?",
    "a refund now please",
)


def test_sentences_keep_the_order_of_messages_and_end_with_them() -> None:
    found = [(s.segment_id, s.text) for s in sentences.find_sentences(TICKET)]

    assert found == [
        ("m0", "Zebra stripes faded on my order."),
        ("m0", "I want"),
        ("m1", "A refund is on its way."),
        ("m1", "Anything else we can do for you today?"),
        ("m2", "a refund now please"),
    ]


def test_a_phrase_does_not_run_on_into_the_next_message() -> None:
    rule = TrackerRule(name="refund", phrases=("want a refund",))

    (result,) = trackers.apply_trackers(TICKET, (rule,))

    assert (result.matched, result.undecided) == (False, False)


def test_a_rule_about_time_is_undecided_without_time() -> None:
    rule = TrackerRule(name="refund", phrases=("refund",), first_seconds=30)

    (result,) = trackers.apply_trackers(TICKET, (rule,))

    assert result.undecided


async def test_all_that_needs_no_voice_works_on_text() -> None:
    rules = TrackerRules(rules=(TrackerRule(name="refund", phrases=("refund",)),))

    async with pipeline.open_analyst() as analyst:
        analysis = await analyst.analyze(TICKET, rules)

    insights = analysis.build_insights(ticket_id="ticket", attempt=1)
    failed = {run.name: run.error_code for run in insights.analyzers if not run.ok}
    assert failed == {"metrics": AnalyzerError.NEEDS_VOICE}
    assert insights.sentiment is not None
    assert insights.summary is not None
    assert insights.keywords
    assert [hit.span.segment_id for hit in insights.trackers[0].hits] == ["m1", "m2"]


def test_a_quarter_of_a_text_is_one_of_its_words() -> None:
    text = build_messages("Good.", "It is a chair.", "It is a chair.", "Bad. A red chair.")

    whole, _ = sentiment.score_document(text)

    # 1 + 4 + 4 + 4 = 13 words; the middles lie at 0.5, 3, 7 and 11. VADER: good is 0.4404, bad
    # -0.5423, so 0.4404 / 5 and -0.5423 / 4.
    assert [q and q.score for q in whole.quarters] == [0.0881, None, 0.0, -0.1356]
    assert whole.trend == "deteriorating"


def test_the_authors_of_a_text_have_a_sentiment_each() -> None:
    whole, _ = sentiment.score_document(build_messages("Good.", "Bad."))

    assert [(s.speaker, s.overall.label) for s in whole.speakers] == [
        ("author_0", "positive"),
        ("author_1", "negative"),
    ]
