"""How agents reach memory by themselves: hooks of coding agents, and the Model Context Protocol.

Reading order: `carryover_hook` (what an agent runs), `prepared` (what it then prints), `hooks` (installing it: where
and what in `hook_places`, the text of settings in `hook_settings` and `json_text`, other people's files in `files`),
`mcp` (memory as tools) and `mcp_http` (whose memory a request over HTTP reaches).

What people who write agents use: `messages` (calls of a provider's API by hand), `langgraph` and `langgraph_store`,
`pydantic_ai`; the last three share `shown` (messages as turns, and what a strategy leaves of them).
"""
