"""Every metric of carryover: its name, what it counts, and under which name the rooms tell of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_TOKENS = (200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 400_000, 1_000_000)
_FAR = (0.01, 0.02, 0.05, 0.08, 0.1, 0.15, 0.25, 0.5, 1)
_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, and under which name the rooms tell of it.

    A histogram takes what is observed, and how long spans of that name last (seconds); `open` counts spans that have
    not ended.
    """

    kind: Literal["counter", "histogram", "open"]
    told: str
    name: str
    about: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = _QUICK


METRICS = (
    Metric(
        "counter", "requests", "carryover_http_requests_total", "HTTP requests answered.", ("method", "route", "status")
    ),
    Metric(
        "histogram",
        "request_seconds",
        "carryover_http_request_duration_seconds",
        "Time until a request was answered; until the answer began where it is streamed.",
        ("method", "route"),
    ),
    Metric(
        "counter",
        "authentications_failed",
        "carryover_authentications_failed_total",
        "Credentials that opened nothing: key, token, link.",
        ("kind",),
    ),
    Metric("counter", "appends", "carryover_appends_total", "Appends saved."),
    Metric("counter", "turns", "carryover_turns_total", "Turns of the appends saved."),
    Metric(
        "counter", "append_refusals", "carryover_append_refusals_total", "Appends refused, by kind of error.", ("kind",)
    ),
    Metric("histogram", "commit", "carryover_commit_duration_seconds", "Time of a commit of appends."),
    Metric("histogram", "commit_turns", "carryover_commit_turns", "Turns that one commit saved.", buckets=_SIZES),
    Metric(
        "counter", "jobs", "carryover_jobs_total", "Jobs run: done, failed, dead, lost, waiting.", ("kind", "outcome")
    ),
    Metric("histogram", "job", "carryover_job_duration_seconds", "Time of one run of a job.", ("kind",), _SLOW),
    Metric("counter", "model_calls", "carryover_model_calls_total", "Calls of language models.", ("model", "outcome")),
    Metric("histogram", "model", "carryover_model_call_duration_seconds", "Time of a model call.", ("model",), _SLOW),
    Metric(
        "counter",
        "model_tokens",
        "carryover_model_tokens_total",
        "Tokens of model calls: in (cached ones too), out, cache_read, cache_write.",
        ("model", "kind"),
    ),
    Metric(
        "counter",
        "model_money",
        "carryover_model_money_dollars_total",
        "Price of model calls in US dollars.",
        ("model",),
    ),
    Metric(
        "counter",
        "chat_cache_misses",
        "carryover_chat_cache_misses_total",
        "Requests of the chat that read nothing from the provider's cache where they should: too_short, changed.",
        ("model", "why"),
    ),
    Metric(
        "counter", "digests", "carryover_digests_total", "Digests made of coding sessions, by outcome.", ("outcome",)
    ),
    Metric(
        "counter", "cache", "carryover_cache_requests_total", "Look-ups in a cache: hit, miss.", ("cache", "outcome")
    ),
    Metric(
        "counter", "searches", "carryover_searches_total", "Searches answered, by words alone or hybrid.", ("mode",)
    ),
    Metric(
        "histogram",
        "search",
        "carryover_search_stage_duration_seconds",
        "Time of a stage of a search: words, embed, vectors, fuse.",
        ("stage",),
    ),
    Metric(
        "counter",
        "findings_checked",
        "carryover_findings_checked_total",
        "Findings checked against their turns: holds, fails, unknown.",
        ("outcome",),
    ),
    Metric(
        "counter",
        "transactions_retried",
        "carryover_transactions_retried_total",
        "Database transactions that were begun again.",
    ),
    Metric(
        "counter",
        "transactions_failed",
        "carryover_transactions_failed_total",
        "Database transactions that failed because the database could not do them.",
    ),
    Metric(
        "open",
        "transaction",
        "carryover_transactions_open",
        "Database transactions under way; each holds a connection.",
        ("mode",),
    ),
    Metric("counter", "preferences_noticed", "carryover_preferences_noticed_total", "Preferences of users, noticed."),
    Metric("counter", "persona_fits", "carryover_persona_fits_total", "Codebooks fitted: fit, growth.", ("why",)),
    Metric(
        "histogram",
        "persona_far_share",
        "carryover_persona_far_share",
        "Share of preferences that no label stood for when a codebook was looked at.",
        buckets=_FAR,
    ),
    # Those of views have the names that are common for them.
    Metric(
        "counter",
        "memory_trigger",
        "memory_trigger_total",
        "Cuts and clearings of views, by what set them off.",
        ("strategy", "trigger"),
    ),
    Metric(
        "histogram",
        "memory_tokens_before_after",
        "memory_tokens_before_after",
        "Tokens of a view before and after a cut or clearing.",
        ("strategy", "trigger", "side"),
        _TOKENS,
    ),
    Metric(
        "counter",
        "memory_compaction_items",
        "memory_compaction_items_total",
        "Tool outputs and inputs that a placeholder replaced.",
        ("kind",),
    ),
    Metric(
        "counter",
        "memory_summary_injection",
        "memory_summary_injection_total",
        "Views that were to tell what other sessions settled: used, stale, too_long, none, wrong_scope.",
        ("result",),
    ),
    Metric("counter", "memory_summaries", "memory_summaries_total", "Summaries of turns: ready, failed.", ("outcome",)),
    Metric(
        "histogram",
        "memory_prefix_stability",
        "memory_prefix_stability",
        "Share of a view before the newest user's turn with which the view begins.",
        ("strategy",),
        _SHARES,
    ),
    Metric(
        "histogram",
        "memory_predicted_cost_tokens",
        "memory_predicted_cost_tokens",
        "What a view costs in tokens of full price: 0.1 of those with which the view before began, 1.25 of all others.",
        ("strategy",),
        _TOKENS,
    ),
)
# What is looked up when a scrape comes, rather than counted: name, what it is, its label.
LOOKED_UP = {
    "carryover_queue_jobs": ("Jobs of all tenants that are due, running, dead, or waiting for a cap.", "state"),
    "carryover_queue_oldest_due_age_seconds": ("For how long the job due longest has waited for a worker.", None),
    "carryover_store_up": ("Whether the database answers.", None),
    "carryover_info": ("Always 1; says which version runs.", "version"),
}
