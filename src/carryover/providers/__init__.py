"""All model calls: embedders (texts to vectors), language models, and what their calls cost.

Verbs: `open_embedder` and its `embed`, `open_llm` and its `complete` and `price`, `pull`. Heavy libraries are
loaded when a model is first used, never at import. Reading order: `catalog`, `minilm`, `minilm_graph`,
`urls`, `http_embedder`,
`prices`, `schema`, `llm`.
"""
