"""Settings of coding agents as people keep them."""

OWN = """{
    "$schema": "https://json.example/settings.json",
    "permissions": { "allow": ["Bash(git status:*)"],   "deny": [] },
    "hooks": {
        "PreToolUse": [{"matcher": "Bash", "hooks": [{"type": "command", "command": "guard.sh"}]}],
        "Stop": [
            {
                "hooks": [ { "type": "command", "command": "say done" } ]
            }
        ]
    },
    "env": {"A": "\\u00e4"}
}
"""
CONFIG = """# Codex, as I like it
model = "o5"   # the fast one

[tui]
theme = "dark"  # keep
notify = ["bash", "-c", "say 'done # really'"]

[mcp_servers.docs]
command = 'C:\\tools\\docs.exe'
"""
