"""Model providers on this machine: local HTTP servers that speak their wire protocols.

`with FakeMessages(answer={"facts": ["SQLite"]}) as fake:` is a provider at `fake.url`. Point
`open_llm("anthropic:claude-haiku-5-5", api_key="k", base_url=fake.url)` at it, order trouble with
`fake.fail_next(529, times=2)`, and look at `fake.requests` for what it was asked. An answer is a text, an object
(for structured output), or a function of the request.
"""
