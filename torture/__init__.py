"""What is done to carryover to find out whether it keeps its word: faults, recorded histories, and who judges them.

    python -m torture [--seed 1] [--only NAME ...] [--short] [--kept FOLDER] [--lanes 2]

Every scenario lets clients work while something breaks, writes down each of their requests and each answer, and
compares all of it with what the log holds in the end. `docs/explain/torture.md` says what is checked.
"""
