"""What the tools of all flavors are called, in one table, and what a call of one is about."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from carryover.core.step import Tool

# Written without case, `_`, `-`, `.` and blanks: `Read`, `read_file` and `readFile` differ only in those.
_NAMES: dict[Tool, str] = {
    "shell": """bash bashoutput bashtool command containerexec exec execcommand execute executebash executecommand
        getterminaloutput killbash killshell listbash listpowershell localshell localshellcall powershell readbash
        readpowershell runcommand runinterminal runshellcommand runterminal runterminalcmd runterminalcommand
        sendcommandinput shell shellcommand shellexec shelltool stopbash stoppowershell terminal unifiedexec
        usershellcommand writebash writepowershell writestdin""",
    "read": """cat fetchfile hashlineread notebookread openfile read readfile readfiles readmanyfiles readmcpresource
        readnotebook readtextfile showfile view viewfile viewimage""",
    "edit": """applydiff applypatch edit editfile editnotebook hashlineedit insertcontent insertedit multiedit
        multistrreplace notebookedit patch replace replaceinfile searchandreplace searchreplace strreplace
        strreplacebasededittool strreplaceeditor texteditor""",
    "write": "create createfile newfile savefile write writefile writetofile deletefile delete deletefiles",
    "search": """codebasesearch codesearch filesearch find findfiles findpath glob globfilesearch globsearch globtool
        grep grepfiles grepsearch greptool hashlinegrep list listdir listdirectory listfiles ls lsp readdir rg ripgrep
        search searchcodebase searchdirectory searchfilecontent searchfiles searchindirectory searchsymbol
        semanticsearch""",
    "web": """browser browseraction fetch fetchurl fetchwebpage googlewebsearch openpage openurl webbrowse
        webfetch webrun websearch websearchcall xsearch""",
    "agent": """agent agentoutput agentoutputtool closeagent codebaseinvestigator delegate delegatetoagent
        dispatchagent followuptask getcommandorsubagentoutput gettaskoutput interruptagent killcommandorsubagent
        killtask listagents messageagent newtask readagent resumeagent runsubagent sendinput sendmessage spawnagent
        spawnsubagent subagent task taskoutput taskstop teamcreate teamdelete wait waitagent waitforagents workflow
        writeagent""",
    "plan": """createplan enterplanmode exitplanmode plan plandone planwrite reportintent taskcreate taskget
        tasklist taskupdate thinkplan todo todolist todoread todos todowrite updateplan updatetasks updatetodo
        updatetodolist updatetodos writetodos""",
    "mcp": "callmcptool fetchmcpresource",
}
_TOOLS: dict[str, Tool] = {name: tool for tool, names in _NAMES.items() for name in names.split()}
_BETWEEN = re.compile(r"[\s_.\-]+")

# In which argument stands what a call is about, the first that is there.
_PATHS = ("file_path", "filePath", "path", "absolute_path", "target_file", "notebook_path", "filename", "file", "uri")
_PATTERNS = ("pattern", "query", "regex", "glob", "glob_pattern", "search_term", "path", "directory", "dir_path")
_ARGUMENTS: dict[Tool, tuple[str, ...]] = {
    "shell": ("command", "cmd", "script", "chars", "input", "bash_id", "shell_id", "session_id"),
    "read": (*_PATHS, "paths"),
    "edit": (*_PATHS, "patch", "input", "diff"),
    "write": (*_PATHS, "paths"),
    "search": _PATTERNS,
    "web": ("url", "query", "prompt", "action"),
    "agent": ("description", "task_name", "subagent_type", "agent_type", "prompt", "message", "task", "task_id", "id"),
    "plan": ("subject", "title", "explanation", "status", "plan"),
    "mcp": ("query", "path", "url", "id", "name", "title"),
    "other": ("description", "query", "path", "command", "skill", "name", "title"),
}
_SHELLS = ("bash", "sh", "zsh", "dash", "fish", "pwsh", "powershell", "cmd", "cmd.exe", "powershell.exe")
_PATCHED = re.compile(r"^(?:\*\*\* (?:Add|Update|Delete) File|\+\+\+|---)[: ]\s*(?:[ab]/)?(\S.*?)\s*$", re.MULTILINE)
LONGEST = 200  # characters of what a call is about


@lru_cache(4_096)
def canonical(name: str) -> Tool:
    """The tool of that native name in words of all flavors; `other` for one that is not known."""
    if name.startswith(("mcp__", "mcp:", "mcp/", "mcp.")) or "-mcp-server-" in name:
        return "mcp"
    return _TOOLS.get(_BETWEEN.sub("", name).lower(), "other")


def main_argument(tool: Tool, input: Mapping[str, Any] | None) -> str:
    """The command, path or pattern that a call is about, on one line of at most `LONGEST` characters; else ''."""
    for name in _ARGUMENTS[tool] if input else ():
        value = input.get(name) if input else None
        if said := _said(tool, value):
            line = said if said.isprintable() else " ".join(said.split())
            return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
    return ""


def call_text(name: str, tool: Tool, input: Mapping[str, Any] | None) -> str:
    """A call on one line: `Bash: go test ./...`."""
    about = main_argument(tool, input)
    return f"{name}: {about}" if about else name


def patched(patch: str) -> list[str]:
    """The files that a patch touches, each once, in the order in which it names them."""
    return list(dict.fromkeys(path for path in _PATCHED.findall(patch) if path != "/dev/null"))


def command_of(command: Any) -> str:
    """A command as one would type it: of `["bash", "-lc", "go test"]` it is `go test`."""
    if isinstance(command, str):
        return command
    words: list[Any] = command if isinstance(command, list) else []  # pyright: ignore[reportUnknownVariableType]
    if not all(isinstance(word, str) for word in words):
        return ""
    if len(words) == 3 and words[0].rpartition("/")[2] in _SHELLS and words[1].startswith(("-", "/")):
        return words[2]
    return shlex.join(words)


def _said(tool: Tool, value: Any) -> str:
    if tool == "shell":
        return command_of(value)
    if isinstance(value, list) and value and isinstance(value[0], str):
        return str(value[0])  # pyright: ignore[reportUnknownArgumentType]
    if not isinstance(value, str):
        return ""
    if tool == "edit" and "\n" in value:
        return " ".join(patched(value))
    return value
