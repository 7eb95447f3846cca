"""The HTTP door: every route calls one verb of the runtime.

Read `app` (what is wired, and how it is served), `supervisor` (in several processes), `deps` (who may come in), `gate`
(whose turn it is), `bodies` and `answers` (what comes and
goes), `errors` (what a refusal looks like), `commits` (appends that share a commit), `live` (server-sent events),
`openapi` (the document of all of it), `requests` (ids, and the line in the log), `metrics` and `traces` (what whoever
watches the server is told); then `routes`, one file per noun.
"""
