"""Measuring ourselves, on conversations with known answers and on the user's own log: what `carryover eval` runs.

Reading order: `labelled` (published formats), `metrics` and `bootstrap` (pure), `asking` (one question), `faithful`
(what was kept, and whether it was said), `recall` and `own` (the two runs), `report` and `compare` (what came of
them), `draw` and `page` (the report to look at).

Of personas: `persona_world` (made-up users and what they say), `persona_population` (from turns to personas),
`persona_reader` (what a reader understands), then what is measured: `persona_information`, `persona_noticing`,
`persona_natural`, `persona_drift`, `persona_privacy`, `persona_traffic` and `persona_cost`, `persona_open`,
`persona_stability`; `persona` (the run), `persona_sections`, `persona_report` and `persona_page` (what came of it).
"""
