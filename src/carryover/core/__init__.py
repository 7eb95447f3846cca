"""The words of carryover: values, errors and protocols, in the standard library alone.

Read `errors`, `clock`, `ids`, `text`, `scope`; then the nouns `session`, `event`, `snapshot`, `chunk`,
`context`, `usage`, `job`; then `ports`, what others must provide, and `wire`, how values look as JSON.
"""
