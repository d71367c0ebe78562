"""The analysis process: isolation, bounds, and what a call of any shape comes to."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import time
from collections.abc import Iterator

import psutil
import pytest
from parlance.contracts.analysis.insights import (
    AnalyzerError,
    Insights,
    TrackerRule,
    TrackerRules,
)
from parlance.contracts.calls import Transcript
from parlance.inference.analysis import pipeline
from parlance.inference.analysis.analyzers.base import Findings
from parlance.inference.analysis.pipeline import Analyst
from parlance.inference.calls import documents

from tests.unit.inference.analysis import calls

PROFILES = "tests.unit.inference.analysis.broken_profile"
NO_RULES = TrackerRules()
NAMES = ("language", "sentences", "metrics", "sentiment", "keywords", "summary", "trackers", "pii")


def short_call() -> Transcript:
    return calls.transcript(
        calls.segment("Thank you for calling, how can I help you today?", 0, 4),
        calls.segment("I lost my debit card and I am really upset.", 5, 9, channel=1),
        voice=[[(0, 4)], [(5, 9)]],
        duration=10,
    )


def long_call(segments: int) -> Transcript:
    content = "I would like to check the balance of my savings account today."
    return calls.transcript(
        *(
            calls.segment(f"{content} Number {n}?", n * 2, n * 2 + 1.8, channel=n % 2)
            for n in range(segments)
        ),
        voice=[[(n * 2, n * 2 + 1.8) for n in range(c, segments, 2)] for c in range(2)],
        duration=segments * 2,
    )


async def analyze(
    transcript: Transcript,
    rules: TrackerRules | None = NO_RULES,
    analyst: Analyst | None = None,
    deadline_seconds: float = pipeline.DEADLINE_SECONDS,
) -> Insights:
    """As the worker does it; with a process of its own unless there is an analyst."""
    async with contextlib.AsyncExitStack() as stack:
        if analyst is None:
            analyst = await stack.enter_async_context(pipeline.open_analyst())
        document = documents.build_document(transcript)
        analysis = await analyst.analyze(document, rules, deadline_seconds=deadline_seconds)
    return analysis.build_insights(call_id=transcript.call_id, attempt=transcript.attempt)


def errors_of(insights: Insights) -> dict[str, str]:
    return {run.name: str(run.error_code) for run in insights.analyzers if not run.ok}


def test_insights_have_a_place_for_all_that_is_found() -> None:
    """A name that `Insights` does not know would be dropped without a word."""
    found = {name for kind in Findings.__subclasses__() for name in kind.model_fields}

    assert found
    assert found <= set(Insights.model_fields)


async def test_a_call_gets_every_part() -> None:
    rules = TrackerRules(rules=(TrackerRule(name="lost", phrases=("lost my debit card",)),))

    insights = await analyze(short_call(), rules)

    assert errors_of(insights) == {}
    assert [run.name for run in insights.analyzers] == list(NAMES)
    assert insights.metrics is not None
    assert insights.metrics.talk_seconds == 8
    assert insights.sentiment is not None
    assert set(insights.segment_sentiments) == {"0-0", "5-1"}
    assert "debit card" in [keyword.text for keyword in insights.keywords]
    assert insights.summary is not None
    assert [tracker.matched for tracker in insights.trackers] == [True]


async def test_the_result_survives_a_trip_through_json() -> None:
    insights = await analyze(short_call())

    assert Insights.model_validate_json(insights.model_dump_json()) == insights


async def test_the_same_call_gives_the_same_insights_in_another_process() -> None:
    first, second = [
        (await analyze(long_call(300))).model_dump(exclude={"analyzers"}) for _ in "ab"
    ]

    assert first == second


@pytest.mark.parametrize(
    "transcript",
    [
        calls.transcript(duration=0),
        calls.transcript(duration=30),
        calls.transcript(voice=[[], []], duration=30),
        calls.transcript(voice=[[(0, 5)]], duration=30),
        calls.transcript(calls.segment("", 0, 1), duration=30),
        calls.transcript(calls.segment("?!", 0, 1), calls.segment("♪ ♪", 1, 2), duration=30),
        calls.transcript(calls.segment("Hello", 3, 3), duration=0),
    ],
    ids=["nothing", "silence", "no voice", "no words", "no text", "no letters", "no time"],
)
async def test_a_call_without_words_is_analysed_all_the_same(
    transcript: Transcript,
) -> None:
    insights = await analyze(transcript)

    assert errors_of(insights) == {}
    assert insights.metrics is not None


async def test_a_foreign_call_gets_what_needs_no_word_list() -> None:
    german = calls.transcript(calls.segment("Guten Tag, wie geht es Ihnen?"), language="de")

    insights = await analyze(german)

    assert errors_of(insights) == {
        "sentiment": AnalyzerError.UNSUPPORTED_LANGUAGE,
        "keywords": AnalyzerError.UNSUPPORTED_LANGUAGE,
    }
    assert insights.metrics is not None
    assert insights.metrics.speakers[0].questions == 1


@pytest.mark.parametrize(
    ("profile", "error"),
    [
        ("build_raising", AnalyzerError.INTERNAL),
        ("build_spinning", AnalyzerError.TIMED_OUT),
        ("build_deaf", AnalyzerError.TIMED_OUT),
        ("build_greedy", AnalyzerError.OUT_OF_MEMORY),
        ("build_dying", AnalyzerError.CRASHED),
        ("build_nonsense", AnalyzerError.CRASHED),
    ],
)
async def test_an_analyser_that_misbehaves_costs_only_itself(
    profile: str, error: AnalyzerError
) -> None:
    async with pipeline.open_analyst(profile=f"{PROFILES}:{profile}", memory_mib=256) as analyst:
        for _ in "ab":  # and the next call is none the worse
            insights = await analyze(short_call(), analyst=analyst, deadline_seconds=4)

            assert errors_of(insights) == {"summary": error}
            assert insights.summary is None
            assert insights.metrics is not None
            assert insights.keywords


async def test_an_error_tells_clients_no_words_of_the_call() -> None:
    async with pipeline.open_analyst(profile=f"{PROFILES}:build_raising") as analyst:
        insights = await analyze(short_call(), analyst=analyst)

    assert "secret" not in insights.model_dump_json()


async def test_what_needs_a_failed_analyser_says_so() -> None:
    async with pipeline.open_analyst(profile=f"{PROFILES}:build_failing_first") as analyst:
        insights = await analyze(short_call(), analyst=analyst)

    assert errors_of(insights) == {
        "sentences": AnalyzerError.INTERNAL,
        "metrics": AnalyzerError.DEPENDENCY_FAILED,
        "keywords": AnalyzerError.DEPENDENCY_FAILED,
        "summary": AnalyzerError.DEPENDENCY_FAILED,
    }


async def test_a_stray_print_does_not_break_the_stream() -> None:
    async with pipeline.open_analyst(profile=f"{PROFILES}:build_noisy") as analyst:
        insights = await analyze(short_call(), analyst=analyst)

    assert errors_of(insights) == {}


async def test_without_time_everything_has_timed_out() -> None:
    insights = await analyze(short_call(), deadline_seconds=0)

    assert errors_of(insights) == dict.fromkeys(NAMES, AnalyzerError.TIMED_OUT)


async def test_a_process_that_cannot_start_fails_the_analysers_not_the_call() -> None:
    async with pipeline.open_analyst(memory_mib=1) as analyst:
        insights = await analyze(short_call(), analyst=analyst)

    assert errors_of(insights) == dict.fromkeys(NAMES, AnalyzerError.CRASHED)


async def test_a_process_lost_between_two_calls_is_replaced() -> None:
    async with pipeline.open_analyst() as analyst:
        await analyze(short_call(), analyst=analyst)
        for child in psutil.Process().children():
            if "parlance.inference.analysis.isolation.child" in child.cmdline():
                child.kill()

        insights = await analyze(short_call(), analyst=analyst)

    assert errors_of(insights) == {}


async def test_a_cancelled_call_leaves_no_answer_behind_for_the_next() -> None:
    async with pipeline.open_analyst() as analyst:
        task = asyncio.create_task(analyze(long_call(2000), analyst=analyst))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        insights = await analyze(short_call(), analyst=analyst)

    assert set(insights.segment_sentiments) == {"0-0", "5-1"}


async def test_calls_at_once_take_turns() -> None:
    async with pipeline.open_analyst() as analyst:
        results = await asyncio.gather(*(analyze(short_call(), analyst=analyst) for _ in range(5)))

    assert all(errors_of(insights) == {} for insights in results)


async def test_of_calls_at_once_none_pays_for_the_process_that_another_lost() -> None:
    async with pipeline.open_analyst(profile=f"{PROFILES}:build_dying") as analyst:
        results = await asyncio.gather(*(analyze(short_call(), analyst=analyst) for _ in range(3)))

    assert [errors_of(insights) for insights in results] == [{"summary": AnalyzerError.CRASHED}] * 3


async def test_a_call_whose_predecessor_is_cancelled_gets_its_own_answer() -> None:
    async with pipeline.open_analyst() as analyst:
        await analyze(short_call(), analyst=analyst)
        first, second = [
            asyncio.create_task(analyze(call, analyst=analyst))
            for call in (long_call(150), short_call())
        ]
        await asyncio.sleep(0.005)
        first.cancel()
        insights = await second
        await asyncio.wait([first])

    assert set(insights.segment_sentiments) == {"0-0", "5-1"}
    assert errors_of(insights) == {}


async def test_the_process_outlives_an_interrupt_of_its_group() -> None:
    async with pipeline.open_analyst() as analyst:
        await analyze(short_call(), analyst=analyst)
        assert analyst.child_pid is not None
        pid = analyst.child_pid
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)

        await analyze(short_call(), analyst=analyst)

        assert analyst.child_pid == pid


async def test_no_process_is_left_behind() -> None:
    async with pipeline.open_analyst() as analyst:
        await analyze(short_call(), analyst=analyst)
        assert analyst.child_pid is not None
        pid = analyst.child_pid

    assert not psutil.pid_exists(pid)


def measure_ended_children() -> float:
    """CPU seconds of all processes that we have started and that have ended."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def test_a_huge_call_takes_time_by_its_length_and_never_holds_up_the_loop() -> None:
    """30,000 segments, 17 hours. In CPU time, as the machine may be busy with other things, and
    against other times of the same run, as the machine may be slow. Without garbage collection,
    which walks over whatever other tests have left in this process."""
    transcript = long_call(30_000)
    longest = 0.0

    before_tenth = measure_ended_children()
    async with pipeline.open_analyst(memory_mib=512) as analyst:
        await analyze(long_call(3_000), analyst=analyst)
    before_whole = measure_ended_children()

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)
            await asyncio.sleep(0.002)

    async with pipeline.open_analyst(memory_mib=512) as analyst:
        watcher = asyncio.create_task(watch())
        with without_garbage_collection():
            began = time.thread_time()
            insights = await analyze(transcript, analyst=analyst)
            whole_seconds = time.thread_time() - began
        watcher.cancel()

    assert errors_of(insights) == {}
    assert len(insights.segment_sentiments) == 30_000
    tenth_seconds = before_whole - before_tenth
    # Ten times as long for ten times as much; what grows with the square takes a hundred.
    assert measure_ended_children() - before_whole < 15 * tenth_seconds
    assert longest < whole_seconds / 4
