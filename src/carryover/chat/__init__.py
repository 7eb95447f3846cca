"""The reference chat: one turn of a conversation with a model, over everything that memory offers.

`verbs` is what callers use; `answering` is the course of one answer; `prompt` is what the model is sent, `persona` what
it is told of the user, and `caching` watches what that costs; `tools` is what it may call; `journal` writes turns and
events of a run together, and `runs` reads them.
"""
