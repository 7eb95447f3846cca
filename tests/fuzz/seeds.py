"""What inputs begin with, where no real log will do."""

from __future__ import annotations

import base64
import json

from carryover.coding.rollout import blocks
from carryover.core.paging import make_cursor
from carryover.core.strategy import Strategy
from carryover.core.wire import encode
from carryover.integrations import hook_settings
from carryover.integrations.hook_settings import Hook

HOOKS = (Hook("SessionStart", "python3 -I -S /srv/hooks/carryover_hook.py SessionStart claude-code", 5, "startup"),
         Hook("Stop", "python3 -I -S /srv/hooks/carryover_hook.py Stop claude-code", 5))  # fmt: skip
TURNS = [
    b'{"role":"user","content":"hello \\ud83d\\ude00","metadata":{"a":1.50}}',
    b'{"agent_id":"a","user_id":"u","expected_version":0,"metadata":{"c":"w"},"turns":[{"role":"user","content":"hi",'
    b'"created_at":"2026-01-02T03:04:05.678Z"},{"role":"assistant","content":[{"type":"x","n":1.50}],"kind":"tool_call",'
    b'"name":"f","call_id":"c","idempotency_key":"k"}]}',
    b'{"role":"system","kind":"retraction","content":[{"type":"retraction","first":1,"last":1}]}',
    b'{"role":"user","content":"lone \\ud83d"}',
]
EXPORTS = [
    b'{"format":"carryover-export","version":1,"exported_at":"2026-01-01T00:00:00.000Z"}\n{"session":{"agent_id":"a",'
    b'"session_id":"s","user_id":null,"version":1,"metadata":{},"status":"closed","ttl_s":null}}\n'
    b'{"seq":1,"id":"t_1","role":"user","kind":"message","content":"hi","created_at":"2026-01-01T00:00:00.000Z",'
    b'"received_at":"2026-01-01T00:00:00.000Z","tokens":1,"metadata":{"a":1}}\n',
    b'{"format":"carryover-export","version":1}\n{"session":{"agent_id":"a","session_id":"s","user_id":"u","version":1,'
    b'"metadata":{"x":1},"status":"active"}}\n{"seq":1,"id":"t_1","role":"tool","kind":"tool_result","call_id":"c",'
    b'"content_text":"[\\n1]","created_at":1700000000.5,"tokens":1}\n',
]
NATIVE = [
    b'openai\n[{"role":"user","content":"hi"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},'
    b'{"type":"function_call_output","call_id":"c","output":"ok"},{"type":"reasoning","id":"r","summary":[]}]',
    b'openai-chat\n[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f",'
    b'"arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"ok"},{"role":"user","content":[{"type":"text",'
    b'"text":"x"},{"type":"image_url","image_url":{"url":"data:"}}]}]',
    b'anthropic\n[{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"s"},{"type":"tool_use",'
    b'"id":"c","name":"f","input":{"a":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c",'
    b'"content":"ok","is_error":true}]}]',
    b'generic\n[{"role":"user","content":"hi"},{"role":"tool","kind":"tool_result","call_id":"c","content":[{"a":1}]}]',
]
MODEL = [
    b'{"found":[{"kind":"decision","text":"PostgreSQL is used","quote":"We use PostgreSQL for the ledger.","first":1,'
    b'"last":1,"subject":"ledger","salience":0.9,"pinned":true}],"closed":[{"id":"f1","status":"done","quote":'
    b'"The report is due on 3 May.","first":2,"last":2,"reason":"x"}],"summary":"s"}',
    b'Here it is:\n```json\n{"found":[{"n":1}],"summary":null}\n```',
]
EDIT = [b'{"weights":{"12+":0.5,"3-":null},"pins":["12+"],"removed":[],"texts":["I read on a small screen"],'
        b'"user_id":"u","expected_version":3}']  # fmt: skip
STRATEGY = [json.dumps(encode(Strategy())).encode(), b'{"mode":"summarize","budget_tokens":1000,"keep_tools":["a"]}']
CURSORS = [
    make_cursor(1).encode(),
    make_cursor(1, "s", "a").encode(),
    make_cursor("s").encode(),
    base64.b64encode(b"[" * 3_000),
]
TIMES = [
    b"2026-11-21T05:23:57.000Z",
    b"2026-01-01",
    b"2026-W01-1",
    b"20260101T000000+0100",
    b"0001-01-01T00:00:00+23:59",
]
HEADERS = [b'"3"', b'W/"3", "4"', b"*", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", b"req-1"]

PROSE = [
    b"We decided to use PostgreSQL for the ledger, because it is what the team knows. Remind me by Friday, 3 May 2027!",
    b"Please answer in short sentences. I'm a nurse in Hamburg; no tables, and never use emoji. I prefer metric units.",
    b"No, that's wrong: revert it. Actually, let's go with Redis instead of Memcached from now on, as of last Tuesday.",
    b"TODO: ship v2.1.0 (see https://example.org/a?b=c&d=e) - not before it!\n\n```py\nprint('x')\n```\n> quoted\n",
    "Wir nehmen ab morgen PostgreSQL. Bitte kürzer antworten — ohne Tabellen! 報告書を作成してください。".encode(),
    b"## Decisions\n- Use tabs\n- Not spaces\n\n1. one\n2. two\n\n* a\n  * b\nDecisions:\n- first\n- second\n",
    b"token=ghp_0123456789abcdefghijABCDEFGHIJ012345 and password: hunter2hunter2 postgres://bob:secret@db.example/x",
    b"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\nAKIAIOSFODNN7EXAMPLE",
]
SHELL = [
    b'cd /srv/app && go test ./... 2>&1 | tail -20; echo "Exit code: $?"',
    b"docker compose run web pytest -q tests/test_a.py::test_b -k 'not slow' || true",
    b"bash -lc 'npm run test -- --watch=false' <<'EOF'\nx\nEOF\n",
    b"*** Begin Patch\n*** Update File: a.py\n@@\n-x\n+y\n*** End Patch\n--- a/b.py\n+++ b/b.py\n",
    b"Traceback (most recent call last):\n  File \"/srv/a.py\", line 3, in f\nKeyError: 'x'\n3 failed, 10 passed",
    b"FAIL\tgithub.com/acme/app\t0.01s\nok  \tgithub.com/acme/b\t1.2s\n[ERROR] Tests run: 3, Failures: 1",
    b"git@github.com:acme/app.git",
]
MARKDOWN = [
    b"# Rules\n\nUse tabs.\n",
    blocks.put(b"# Rules\n\nUse tabs.\n", ["- x"], "CLAUDE.md"),
    blocks.put(None, ["- x"], "CLAUDE.md", head="---\nname: x\n---\n"),
    b"\xef\xbb\xbf# Rules\r\n\r\nUse tabs.\r\n",
]
TOML = [
    b'embedder = "none"\nport = 8420\nrate_limit = "600/minute"\n[persona]\nstrategy = "facets"\n',
    b'home = "/srv"\nllm = "openai:gpt-5"\nmaster_key = "AAAA"\nredis_url = "redis://localhost"\n',
]
JSON_SETTINGS = [
    b'{\n  "model": "opus",\n  "hooks": {\n    "Stop": [{"hooks": [{"type": "command", "command": "x"}]}]\n  }\n}\n',
    hook_settings.json_with('{"a": [1, 2]}', HOOKS).encode(),
    b"{}",
]
STDIN = [
    b'{"session_id":"s","transcript_path":"/srv/log.jsonl","cwd":"/srv","hook_event_name":"Stop","stop_hook_active":false}',
    b'[core]\n\tbare = false\n[remote "origin"]\n\turl = git@github.com:acme/app.git\n',
]
SPOOLED = [
    b'{"event": "Stop", "flavor": "grok", "session": "s-1", "log": "", "cwd": "/srv", "root": "/nowhere", "at": 1}'
]
PRICES = [b'checked = "2026-01-01"\n[models."a:b"]\nwindow = 1000\ninput = 1.5\noutput = 2\ncache_read = 0.1\n'
          b"cache_write = 2\n[models.\"a:b\".over]\ntokens = 200\ninput = 3\noutput = 4\n"]  # fmt: skip
ENVIRONMENT = [b"CARRYOVER_PORT=8420\nCARRYOVER_RATE_LIMIT=600/minute\nCARRYOVER_EMBEDDER=none",
               b'CARRYOVER_PERSONA__STRATEGY=facets\nCARRYOVER_MASTER_KEY=AAAA\nCARRYOVER_TTL_S={"a":1}']  # fmt: skip
