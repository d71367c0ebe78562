"""A trace that began with the upload goes on through the operator."""

from parlance.runtime import telemetry

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_trace_of_the_object_is_carried_on() -> None:
    with telemetry.continued_trace(TRACE):
        within = telemetry.current_trace()

    assert within == {"traceparent": TRACE}
    assert telemetry.current_trace() == {}


def test_job_without_a_trace_starts_none() -> None:
    with telemetry.continued_trace(None):
        assert telemetry.current_trace() == {}
