"""Every name of a span, a metric and an attribute, and the few functions that use them. Nothing else names telemetry.

Without an exporter (see `servicekit.exporting`) all of this is OpenTelemetry's no-op, so it may stand on the hot path.
Attributes are an allow-list: values are kinds, codes and ids of ours. A subject's id appears only as `hashed(subject_id)`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

SCOPE: Final = "assent"
Attributes = Mapping[str, str | int | float | bool]

# Attributes
RPC_SYSTEM: Final = "rpc.system.name"
RPC_METHOD: Final = "rpc.method"
RPC_STATUS: Final = "rpc.response.status_code"
REASON: Final = "assent.reason"
CALLER_SERVICE: Final = "assent.caller.service"
STREAM: Final = "assent.stream"
PARTITION: Final = "assent.partition"
CONSUMER: Final = "assent.consumer"
EVENT_BODY: Final = "assent.event.body"
VERDICT: Final = "assent.verdict"
TASK: Final = "assent.task"
CHECK: Final = "assent.check"
STAGE: Final = "assent.stage"
STAGE_OUTCOME: Final = "assent.stage.outcome"
DEGRADATION: Final = "assent.degradation"
CHANNEL: Final = "assent.channel"
PLACEMENT: Final = "assent.placement"
ACTION_KIND: Final = "assent.action.kind"
SIGNAL_KIND: Final = "assent.signal.kind"
OUTCOME_KIND: Final = "assent.outcome.kind"
BUNDLE: Final = "assent.bundle"
SNAPSHOT: Final = "assent.snapshot"
DECISION_ID: Final = "assent.decision.id"
SUBJECT_HASH: Final = "assent.subject.hash"
COUNT: Final = "assent.count"

ATTRIBUTES: Final = frozenset(
    {RPC_SYSTEM, RPC_METHOD, RPC_STATUS, REASON, CALLER_SERVICE, STREAM, PARTITION, CONSUMER, EVENT_BODY, VERDICT, TASK}
    | {CHECK, STAGE, DEGRADATION, CHANNEL, PLACEMENT, ACTION_KIND, SIGNAL_KIND, OUTCOME_KIND, BUNDLE, SNAPSHOT}
    | {DECISION_ID, SUBJECT_HASH, COUNT, STAGE_OUTCOME}
)

# Spans; a served call's span has its method's name, as the contract gives it
EVENT_PUBLISH: Final = "event.publish"
EVENT_HANDLE: Final = "event.handle"
FOLD_APPLY: Final = "fold.apply"
OUTBOX_RELAY: Final = "outbox.relay"
DECIDE_STAGE: Final = "decide.stage"
REPLAY_STAGE: Final = "replay.stage"
LEDGER_APPEND: Final = "ledger.append"
MODEL_UPDATE: Final = "model.update"

SPANS: Final = frozenset(
    {EVENT_PUBLISH, EVENT_HANDLE, FOLD_APPLY, OUTBOX_RELAY, DECIDE_STAGE, REPLAY_STAGE, LEDGER_APPEND, MODEL_UPDATE}
)
_METHOD: Final = re.compile(r"[a-z0-9_.]+\.v\d+\.[A-Za-z]+/[A-Za-z]+")


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """A metric: `kind` is counter, histogram, up_down_counter or gauge."""

    name: str
    kind: str
    unit: str
    description: str


RPC_DURATION: Final = Metric("rpc.server.call.duration", "histogram", "s", "Time to answer a call")
RPC_IN_FLIGHT: Final = Metric("assent.rpc.in_flight", "up_down_counter", "{call}", "Calls being served")
EVENTS_HANDLED: Final = Metric("assent.events.handled", "counter", "{event}", "Events taken from a stream, by verdict")
EVENT_LAG: Final = Metric("assent.event.lag", "histogram", "s", "From an event's recording to its handling")
DEAD_LETTERS: Final = Metric("assent.dead_letters", "counter", "{event}", "Events given up, with the reason")
OUTBOX_PENDING: Final = Metric("assent.outbox.pending", "gauge", "{event}", "Facts committed and not yet published")
PARTITIONS_OWNED: Final = Metric("assent.partitions.owned", "gauge", "{partition}", "Partitions this replica consumes")
TASK_RESTARTS: Final = Metric("assent.task.restarts", "counter", "{restart}", "Background tasks that crashed")
READY: Final = Metric("assent.ready", "gauge", "1", "1 while this replica takes traffic")
DECISIONS: Final = Metric("assent.decisions", "counter", "{decision}", "Decisions answered")
DECISION_DURATION: Final = Metric("assent.decision.duration", "histogram", "s", "Time to a recorded decision")
DEGRADATIONS: Final = Metric(
    "assent.degradations", "counter", "{decision}", "Decisions that had to leave something out"
)
STAGE_DURATION: Final = Metric("assent.stage.duration", "histogram", "s", "Time of one stage of a decision")
LEDGER_ENTRIES: Final = Metric("assent.ledger.entries", "counter", "{entry}", "Entries appended to the ledger")
SIGNALS_CHANGED: Final = Metric("assent.signals.changed", "counter", "{signal}", "Signals detected, ended or corrected")
OUTCOMES: Final = Metric("assent.outcomes", "counter", "{outcome}", "Outcomes recorded")

METRICS: Final = {
    metric.name: metric
    for metric in (
        *(
            RPC_DURATION,
            RPC_IN_FLIGHT,
            EVENTS_HANDLED,
            EVENT_LAG,
            DEAD_LETTERS,
            OUTBOX_PENDING,
            PARTITIONS_OWNED,
            READY,
        ),
        *(TASK_RESTARTS, DECISIONS, DEGRADATIONS, STAGE_DURATION, LEDGER_ENTRIES, SIGNALS_CHANGED, OUTCOMES),
        DECISION_DURATION,
    )
}


def is_declared_span(name: str) -> bool:
    """Whether a span may have this name: one of ours, or a method's."""
    return name in SPANS or _METHOD.fullmatch(name) is not None


def hashed(subject_id: str) -> str:
    """What stands for a subject in telemetry: the same everywhere, and not the id."""
    return hashlib.blake2b(subject_id.encode(), digest_size=8, person=b"assent").hexdigest()


_TRACER = trace.get_tracer(SCOPE)  # a proxy: it becomes real when `exporting` installs a provider


@functools.cache
def _instrument(metric: Metric) -> Any:
    return getattr(metrics.get_meter(SCOPE), f"create_{metric.kind}")(metric.name, metric.unit, metric.description)


def count(metric: Metric, amount: int = 1, attributes: Attributes | None = None) -> None:
    """Add to a counter, or to an up-down counter."""
    _instrument(metric).add(amount, attributes)


def observe(metric: Metric, value: float, attributes: Attributes | None = None) -> None:
    """Record a value in a histogram."""
    _instrument(metric).record(value, attributes)


def gauge(metric: Metric, value: float, attributes: Attributes | None = None) -> None:
    """Say what a gauge stands at."""
    _instrument(metric).set(value, attributes)


def span(name: str, attributes: Attributes | None = None) -> AbstractContextManager[Span]:
    """A span around the block. Exceptions mark it as failed; their text stays out."""
    return _spanning(name, SpanKind.INTERNAL, None, attributes)


def server_span(name: str, traceparent: str, attributes: Attributes | None = None) -> AbstractContextManager[Span]:
    """The span of a served call or a handled event, under the span that its sender named."""
    return _spanning(name, SpanKind.SERVER, extract(traceparent), attributes)


def _spanning(
    name: str, kind: SpanKind, parent: Context | None, attributes: Attributes | None
) -> AbstractContextManager[Span]:
    current = _TRACER.start_span(name, parent, kind, attributes)
    if current is trace.INVALID_SPAN:  # nobody records and nobody asked: spare the context
        return _UNRECORDED
    return _recorded(current)


_UNRECORDED: Final = contextlib.nullcontext(trace.INVALID_SPAN)


@contextlib.contextmanager
def _recorded(current: Span) -> Iterator[Span]:
    try:
        with trace.use_span(current, record_exception=False, set_status_on_exception=False):
            yield current
    except BaseException:
        current.set_status(trace.StatusCode.ERROR)
        raise
    finally:
        current.end()


_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def extract(traceparent: str) -> Context | None:
    """The context that a W3C traceparent names; None when there is none or it is malformed."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    parent = trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(flags))
    return trace.set_span_in_context(trace.NonRecordingSpan(parent)) if parent.is_valid else None


def inject() -> str:
    """The traceparent of the current span, or nothing when there is none."""
    current = trace.get_current_span().get_span_context()
    if not current.is_valid:
        return ""
    return f"00-{current.trace_id:032x}-{current.span_id:016x}-{current.trace_flags:02x}"


def current_span() -> Span:
    """The span of the running block; one that records nothing when there is none."""
    return trace.get_current_span()


def trace_id() -> str:
    """The current trace's id, or nothing when there is none."""
    current = trace.get_current_span().get_span_context()
    return f"{current.trace_id:032x}" if current.is_valid else ""


def trace_id_or_new() -> str:
    """An id to find a failure by, in the logs if not in a trace."""
    return trace_id() or secrets.token_hex(16)
