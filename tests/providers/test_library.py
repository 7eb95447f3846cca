"""The library behind all models, loaded at the first call."""

from __future__ import annotations

import subprocess
import sys

# Each thread calls when the one before it has begun to load that module.
TOGETHER = """
import sys, threading
from carryover.providers import library, prices

MODEL = "anthropic:claude-haiku-4-5"
failed = []

def call(begun):
    while begun not in sys.modules:
        pass
    connection = library.Connection(MODEL, prices.find(MODEL), {"api_key": "k"})
    try:
        connection.open()
    except Exception as cause:
        failed.append(repr(cause))
    connection.close()

names = ("sys", "pydantic_ai", "pydantic_ai.messages", "pydantic_ai.models", "pydantic_ai.settings")
threads = [threading.Thread(target=call, args=(name,)) for name in names]
for one in threads:
    one.start()
for one in threads:
    one.join()
print(failed)
"""


def test_first_calls_of_several_threads_load_it_once() -> None:
    """A chat and a job may be the first to need a model at the same moment."""
    made = subprocess.run([sys.executable, "-c", TOGETHER], capture_output=True, text=True, timeout=100, check=False)
    assert (made.stdout, made.stderr) == ("[]\n", "")
