"""Background work: what is due is claimed, thought about, and saved once.

Read `derivation` (the shape of all work), `run` (one job, saved with its usage or not at all), `worker` (claiming,
retries, dead letters), `rotation` (whose turn it is), `leases` (what is in hand) and `timer` (what keeps it going).
"""
