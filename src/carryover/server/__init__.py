"""The HTTP door: every route calls one verb of the runtime.

Read `app` (what is wired, and how it is served), `deps` (who may come in), `bodies` and `answers` (what comes and
goes), `errors` (what a refusal looks like), `commits` (appends that share a commit), `live` (server-sent events),
`openapi` (the document of all of it); then `routes`, one file per noun.
"""
