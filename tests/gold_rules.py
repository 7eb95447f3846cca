"""Labelled turns: what the rules should find in each, and what only looks like it.

A row is (role, text, expected): expected is a tuple of (kind, words that the finding must hold), with kind
`pinned` for a standing instruction or preference; () for a look-alike, in which nothing stands.
"""

from __future__ import annotations

from carryover.core.session import Role

Row = tuple[Role, str, tuple[tuple[str, str], ...]]

ROWS: tuple[Row, ...] = (
    # decisions
    ("user", "Let's use PostgreSQL for the ledger.", (("decision", "PostgreSQL ledger"),)),
    ("user", "We'll go with the blue theme, it tested better.", (("decision", "blue theme"),)),
    ("user", "After the call we decided to postpone the launch to March.", (("decision", "postpone launch March"),)),
    ("user", "Agreed: two reviewers per pull request.", (("decision", "two reviewers"),)),
    ("user", "ok, switch to pnpm for the monorepo", (("decision", "pnpm monorepo"),)),
    ("user", "I've chosen to go with Hetzner instead of AWS.", (("decision", "Hetzner"),)),
    ("user", "We agreed on a budget of $12,000 for the fair.", (("decision", "$12,000 fair"),)),
    ("user", "Decision: the API stays on v2 until 2027.", (("decision", "v2 2027"),)),
    ("user", "Saela decided to drop the chapter on clustering.", (("decision", "Saela chapter clustering"),)),
    ("user", "Use `snake_case` for the column names.", (("decision", "snake_case column"),)),
    ("user", "We're going with option B for the venue.", (("decision", "option B venue"),)),
    ("assistant", "I went with a token bucket because it allows bursts.", (("decision", "token bucket"),)),
    # facts
    ("user", "The API limit is 500 requests per minute.", (("fact", "API limit 500"),)),
    ("user", "My dog's name is Biscuit.", (("fact", "Biscuit"),)),
    ("user", "I work as a nurse in Lyon.", (("fact", "nurse Lyon"),)),
    ("user", "The staging database lives in eu-west-3.", (("fact", "staging eu-west-3"),)),
    ("user", "The deadline for the grant is June 5.", (("fact", "deadline June 5"),)),
    ("user", "FYI the vendor only supports TLS 1.3.", (("fact", "TLS 1.3"),)),
    ("user", "We run Kubernetes 1.29 on three nodes.", (("fact", "Kubernetes 1.29"),)),
    ("user", "I moved to Porto last year.", (("fact", "Porto"),)),
    ("user", "My sister Ana is getting married in September.", (("fact", "Ana September"),)),
    ("user", "It turns out the crash came from libssl 3.0.2.", (("fact", "libssl 3.0.2"),)),
    ("user", "Our office is at 14 Rue de Lille.", (("fact", "office 14 Rue"),)),
    ("user", "The config is in /etc/app/settings.toml.", (("fact", "/etc/app/settings.toml"),)),
    ("user", "I have two kids, Tom and Mia.", (("fact", "Tom Mia"),)),
    ("user", "We use e.g. Redis 7.2 and Celery, see docs/ops.md. It is fine.", (("fact", "Redis 7.2 docs/ops.md"),)),
    ("user", "I'm on version 3.11.4, can you help me upgrade?", (("fact", "3.11.4"),)),
    ("assistant", "I've fixed the race in `queue.py` and all 45 tests pass.", (("fact", "queue.py 45"),)),
    ("assistant", "Your order #4417 ships on Friday.", (("fact", "4417 Friday"),)),
    # tasks
    ("user", "I need to renew the certificate before Friday.", (("task", "renew certificate Friday"),)),
    ("user", "TODO: write the migration guide", (("task", "migration guide"),)),
    ("user", "Please remind me to call the dentist tomorrow.", (("task", "dentist tomorrow"),)),
    ("user", "We still have to translate the onboarding emails.", (("task", "translate onboarding"),)),
    ("user", "Can you send me the invoice by Friday?", (("task", "invoice Friday"),)),
    ("user", "Next step is to benchmark the new index.", (("task", "benchmark index"),)),
    ("user", "I'll submit the tax form on Monday.", (("task", "tax form Monday"),)),
    ("user", "Don't forget to rotate the API keys.", (("task", "rotate API keys"),)),
    ("user", "I promised Doreth the pruning plan, I have to email it to Doreth.", (("task", "Doreth"),)),
    ("user", "- [ ] book the venue for 40 people", (("task", "venue 40"),)),
    ("user", "The login page still needs to be translated.", (("task", "login page"),)),
    ("assistant", "I'll send you the weekly report on Monday.", (("task", "weekly report Monday"),)),
    # standing instructions and preferences
    ("user", "Always answer in German.", (("pinned", "German"),)),
    ("user", "Never use semicolons in TypeScript.", (("pinned", "semicolons"),)),
    ("user", "I prefer tabs over spaces.", (("pinned", "tabs"),)),
    ("user", "From now on, keep answers under 100 words.", (("pinned", "100 words"),)),
    ("user", "I'm allergic to peanuts.", (("pinned", "peanuts"),)),
    ("user", "Please don't use emojis.", (("pinned", "emojis"),)),
    ("user", "Call me Max.", (("pinned", "Max"),)),
    ("user", "Always include unit tests when I ask for code.", (("pinned", "unit tests"),)),
    # several at once
    (
        "user",
        "We'll go with Stripe for payments. The fee is 2.9%; I need to ask legal about refunds.",
        (("decision", "Stripe payments"), ("fact", "2.9%"), ("task", "legal refunds")),
    ),
    # look-alikes: questions
    ("user", "Should we use PostgreSQL or MySQL?", ()),
    ("user", "What is the API limit?", ()),
    ("user", "Do I need to renew the certificate?", ()),
    ("user", "Can you explain how tokens are counted?", ()),
    # look-alikes: hypotheticals and things undecided
    ("user", "We could switch to Kafka at some point.", ()),
    ("user", "If we use Redis, we'll need a second node.", ()),
    ("user", "Maybe let's go with the blue one.", ()),
    ("user", "We haven't decided on the database yet.", ()),
    ("user", "I'm thinking about moving to Rust.", ()),
    ("user", "Suppose the limit was 500.", ()),
    # look-alikes: quoted, sarcastic and other people's
    ("user", '"Let\'s use MongoDB for everything," ha.', ()),
    ("user", "Oh great, let's just rewrite it in Perl.", ()),
    ("user", "> We decided to use Oracle.", ()),
    ("user", "The sales team said we'll go with Salesforce.", ()),
    ("user", "My neighbour will switch to solar.", ()),
    # look-alikes: code, logs and output
    ("user", "```\n# TODO: we decided to use x = 5\nlimit = 500\n```", ()),
    ("user", "2026-01-02 10:11:12 ERROR limit is 500", ()),
    ("tool", "The API limit is 500 requests per minute.", ()),
    ("system", "Always answer in German.", ()),
    ("user", "<system-reminder>\nAlways use the todo tool. The limit is 500.\n</system-reminder>", ()),
    # look-alikes: small talk, and what an agent only explains or offers
    ("user", "Thanks, that's great!", ()),
    ("user", "Never mind.", ()),
    ("user", "Wow, I never saw that coming!", ()),
    ("user", "Keep up the good work!", ()),
    ("assistant", "Let's use PostgreSQL for the ledger.", ()),
    ("assistant", "I'll read the file first.", ()),
    ("assistant", "You could use Redis for caching, for example.", ()),
    ("assistant", "Python was released in 1991.", ()),
    ("assistant", "Would you like me to run the tests?", ()),
)
