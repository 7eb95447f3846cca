"""Fuzzing: inputs that nobody means, for every reader of what comes from outside.

`target.py` says what is fuzzed and what must hold; `mutate.py` makes the inputs; `readers.py`, `wires.py` and
`texts.py` name the targets; `campaign.py` runs them and keeps what broke; `guided.py` lets coverage choose the inputs;
`growth.py` looks for what takes more than its share of time or memory as inputs grow. `make fuzz` runs all of it.
"""
