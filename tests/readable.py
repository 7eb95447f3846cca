"""What of the schema is readable to whoever has the database, and why: every column that can hold text or bytes."""

from __future__ import annotations

# Columns whose content is the same kind of thing wherever they stand.
ID = "an id or a name that the program or its user gave"
KIND = "one of a few words of ours"
PATH = "where a file or a repository lies"
HASH = "a hash of whole bytes of a log: who has the same bytes can tell so"
SHARED = "the tenant's own, of no session: numbers, and words for everybody"

SEALED = {  # with the key of the session, but for those that are marked
    "bodies.body",
    "sessions.metadata",
    "snapshots.summary",
    "snapshots.themes",
    "findings.text",
    "findings.subject",
    "findings.reason",
    "sources.quote",
    "links.reason",
    "verdicts.state",
    "verdicts.detail",
    "tiers.text",
    "chunks.text",
    "summaries.text",
    "agent_run_events.payload",
    "digests.body",
    "evidence.quote",
    "origins.about",  # the tenant's, while the session is not there
    "segments.body",  # the tenant's
    "cursors.state",  # the tenant's
    "preferences.sealed",  # the user's
    "profiles.edits",  # the user's
    "persona_codes.sealed",  # the user's
    "personas_shown.sealed",  # the user's
    "codebooks.sealed",  # the tenant's
}
HASHED = {
    "turns.digest": "hashed with the session's key",
    "chunks.terms": "words hashed with a secret of the tenant, the words themselves, or none: the setting `index`",
    "keys.hash": "of a secret of 256 bits",
    "repeats.hash": "of an idempotency key, with a secret of the installation, for a day",
    "marks.uid": "of a record's own id",
    "spends.key": "of a record's own id",
}
EMPTY = {
    "turns.metadata": "sealed in bodies.body; readable in sessions that are not sealed",
    "turns.salt": "sealed in bodies.body",
}
READABLE = {
    **dict.fromkeys(
        (
            *(
                "agent_run_events.run",
                "chunks.ref",
                "codebooks.space",
                "codes.space",
                "counters.name",
                "effects.pattern",
            ),
            *("erasures.id", "evidence.pattern", "exposures.pattern", "extractors.name", "extractors.against"),
            *("findings.id", "findings.superseded_by", "formats.version", "formats.type", "holds.id", "keys.id"),
            *("keys.label", "links.finding", "links.superseded_by", "patterns.id", "preferences.id", "secrets.name"),
            *("sources.finding", "spaces.space", "spends.model", "summaries.recipe", "summaries.base", "tiers.finding"),
            *("tiers.twin", "turns.id", "turns.call_id", "turns.idempotency_key", "usages.id", "usages.model"),
            *("vectors.space", "verdicts.finding", "views.strategy", "snapshots.by", "snapshots.extractor"),
            *("findings.by", "summaries.by", "patterns.by", "sessions.key", "audit.who", "audit.request_id"),
            *("holds.placed_by", "holds.released_by", "jobs.subject", "audit.subject", "jobs.lease"),
        ),
        ID,
    ),
    **dict.fromkeys(
        (
            *("agent_run_events.type", "audit.via", "audit.action", "audit.outcome", "chunks.kind", "chunks.role"),
            *("codebooks.strategy", "codes.kind", "codes.role", "cursors.flavor", "digests.flavor", "digests.kind"),
            *("digests.outcome", "effects.verdict", "erasures.state", "events.action", "exposures.flavor"),
            *("extractors.state", "findings.kind", "findings.status", "formats.flavor", "jobs.kind", "keys.rights"),
            *("keys.rate", "links.status", "patterns.state", "pieces.tier", "spaces.state", "summaries.status"),
            *("tiers.tier", "tiers.period", "turns.role", "turns.kind", "usages.kind"),
        ),
        KIND,
    ),
    **dict.fromkeys(
        (
            *("cursors.path", "origins.path", "pieces.path", "exposures.path"),
            *("digests.repo", "evidence.repo", "exposures.repo"),
        ),
        PATH,
    ),
    **dict.fromkeys(
        ("cursors.prefix", "cursors.content", "digests.source_hash", "segments.hash", "pieces.hash", "pieces.whole"),
        HASH,
    ),
    **dict.fromkeys(
        (
            *("patterns.body", "patterns.reason", "effects.body", "exposures.block", "exposures.detail"),
            *("extractors.reason", "extractors.detail", "codebooks.why"),
        ),
        SHARED,
    ),
    "turns.name": "the name of the speaker or of the tool",
    "chunks.name": "the name of the speaker or of the tool",
    "summaries.id": "a hash with the session's key",
    "turns.chain": "a hash with a salt that is sealed",
    "sessions.chain": "a hash with a salt that is sealed",
    "audit.chain": "a hash of the lines of the audit log",
    "audit.detail": "counts and settings of privileged acts",
    "events.detail": "counts and versions",
    "erasures.request": "which ids were to be erased",
    "erasures.receipt": "counts",
    "erasures.keys": "ids of keys",
    "holds.reason": "why something may not be erased, for the next operator",
    "jobs.reason": "what failed, in the words of the program or of a provider's library",
    "strategies.fields": "settings of views",
    "secrets.value": "keys of the installation: of the cache, of API keys; a tenant's secret of the index is sealed",
    "vectors.vector": "what a text means, as numbers: texts can be guessed from it",
    "codes.code": "the same in one bit a number",
}
NAMES = ("tenant", "agent", "session", "user")  # of every table: ids
