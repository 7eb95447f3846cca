"""Personas: what users say of how they want to be served becomes a few lines that every model can be told.

Read `notice` (what is said), `book` (the labels that users share), `phrases`, `cluster`, `groups` and `fit` (how they
are learned), `votes` (what stands out for one user), `decode` (the text), `noticing` and `fitting` (the jobs), `told`
(what a session is opened with), `verbs` (what can be asked).
"""
