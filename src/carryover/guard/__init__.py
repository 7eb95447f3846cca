"""Guard: what is recalled is data, and acts as nothing else; what is secret is not written down again.

`visible` (what cannot be seen, and what a terminal would obey), `redact` (secrets), `inert` (text that closes no
delimiter, speaks for nobody and loads nothing), `orders` (what reads as an order to a model), `names` (who may be
called what), `echo` (who repeats what a tool said), `findings` (what may be made of it all).
"""
