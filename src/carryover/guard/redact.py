"""Secrets are masked before anything is made of what was said: findings, digests, patterns, summaries, events.

The log itself stays as it was said. This runs over all that was ever said, so a text is first looked through for what
secrets are made of: a long run of letters and digits with the beginning of a known token, or a name that secrets are
given. What is masked reads `[secret: github token]`, the same each time.
"""

from __future__ import annotations

import importlib
import re
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from carryover.guard.spoken import spoken

_MASK = "[secret: "
_MASKED = re.compile(r"\[secret: [a-z. ]{1,40}\]")
_RUN = 20  # letters and digits that the shortest token has in one piece


def redact(text: str) -> str:
    """The text with its secrets masked; one without secrets is the same object. Masking twice is masking once."""
    masked = _without_tokens(text) if _holds_token(text) else text
    if "PRIVATE KEY" in text:
        masked = _without_ends(_PEM.pattern.sub(_mask(_PEM), masked))
    if "://" in text and "@" in text:
        masked = _URL.pattern.sub(_mask(_URL), masked)
    masked = _without_named(masked)
    return text if masked == text else masked


def redacted(value: Any, name: str = "") -> Any:
    """What JSON can say with its secrets masked, also where only the name of a member tells that it is one."""
    if isinstance(value, str):
        masked = redact(value)
        if masked is value and name and any(known in name.lower() for known in _NAMES):
            before, after = f'"{name}": "', '"'
            return redact(f"{before}{value}{after}")[len(before) : -len(after)]
        return masked
    if isinstance(value, Mapping):
        return {key: redacted(inner, str(key)) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return [redacted(inner, name) for inner in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def unmasked(text: str) -> str:
    """The text without the masks in it, for whoever compares its words with what was said."""
    return _MASKED.sub(" ", text) if _MASK in text else text


def longest_clean(text: str) -> str:
    """The longest piece of the text that stands there word for word and holds no secret."""
    masked = redact(text)
    if masked is text:
        return text
    pieces = [piece.strip() for piece in _MASKED.split(masked)]
    return max((piece for piece in pieces if piece in text), key=len, default="")


@dataclass(frozen=True, slots=True, eq=False)
class _Rule:
    """Secrets that a pattern finds: one of its groups, or all of it; `begins` is how they, or what is before, begin."""

    kind: str
    begins: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = lambda _secret: True


def _token(kind: str, begins: str, rest: str) -> _Rule:
    """A token by its own look, where it does not go on as something else."""
    return _Rule(kind, begins, re.compile(rf"(?<![A-Za-z0-9])(?:{begins}){rest}"))


def _is_mixed(secret: str) -> bool:
    """Whether it looks drawn by lot: letters of both cases and digits."""
    return bool(re.search("[a-z]", secret) and re.search("[A-Z]", secret) and re.search("[0-9]", secret))


def _is_random(secret: str) -> bool:
    return bool(re.search("[0-9]", secret) and re.search("[A-Za-z]", secret))


def _is_password(secret: str) -> bool:
    return secret.strip("*xX.") != "" and secret.lower() not in _PLACEHOLDERS and not _REFERENCE.match(secret)


# What stands where a secret would, and is none.
_PLACEHOLDERS = frozenset(
    re.split(
        r"\s+",
        """password passwd pass pwd secret token key apikey api_key api-key user username changeme change_me example
        none null true false undefined string str int bool bytes object required optional redacted hidden masked test
        dummy fake mysecret mypassword placeholder todo tbd empty default unset missing invalid value""",
    )
)
_REFERENCE = re.compile(
    r"[$<{%\[(\\*.]|(?:your|my|the|some|an?|example|sample|dummy|fake|test|insert|replace|change|enter|env|process|os|"
    r"self|this|config|settings|options|props|secrets|vars|args|params|request|req|ctx|var|data|local|module|getenv|"
    r"xxx)(?:[-_.\[({ ]|$)|[^\s]*(?:\.\.\.|…|xxxx|\*\*\*|\$\{|\{\{|<|\()|\w*(?:_your_|_test_|-your-)",
    re.IGNORECASE,
)

_RULES: tuple[_Rule, ...] = (
    _token("anthropic key", "sk-ant-", r"[A-Za-z0-9_-]{20,}"),
    _token("openrouter key", "sk-or-", r"[A-Za-z0-9_-]{20,}"),
    _Rule(
        "openai key",
        "sk-",
        re.compile(r"(?<![A-Za-z0-9])sk-(?:(?:proj|svcacct|admin|None)-)?[A-Za-z0-9_-]{20,}"),
        lambda secret: (
            bool(re.search("[0-9]", secret)) and not re.fullmatch("[a-z0-9]{1,12}(?:-[a-z0-9]{1,12})+", secret)
        ),
    ),
    _token("xai key", "xai-", r"[A-Za-z0-9]{20,}"),
    _token("google key", "AIza|GOCSPX-", r"[A-Za-z0-9_-]{24,}"),
    _token("google token", r"ya29\.|1//0", r"[A-Za-z0-9_-]{20,}"),
    _token("github token", "gh[pousr]_|github_pat_", r"[A-Za-z0-9_]{22,}"),
    _token("gitlab token", "gl(?:pat|dt|ft|soat|rt|cbt|ptt|agent|imt)-", r"[A-Za-z0-9_.-]{18,}"),
    _token("slack token", r"xox[abeoprs]-|xoxe\.xox[bp]-|xapp-[0-9]-", r"[A-Za-z0-9-]{15,}"),
    _Rule(
        "slack webhook",
        r"/[AB][A-Z0-9]{8,12}/|/[0-9]{12,21}/",
        re.compile(r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<s>[A-Za-z0-9/_-]{20,})"),
    ),
    _token("npm token", "npm_", r"[A-Za-z0-9]{30,}"),
    _token("hugging face token", "hf_|api_org_", r"[A-Za-z0-9]{30,}"),
    _token("stripe key", "[sr]k_(?:live|test|prod)_", r"[A-Za-z0-9]{16,}"),
    _token("webhook secret", "whsec_", r"[A-Za-z0-9+/=]{20,}"),
    _token("aws key id", "AKIA|ASIA|ABIA|ACCA", r"[A-Z2-7]{16}(?![A-Za-z0-9])"),
    _Rule(
        "aws secret key",
        r"AKIA|ASIA|aws key id\]",
        # Beside the key's id: forty characters alone could be any hash.
        re.compile(r"aws key id\][\s\S]{1,200}?(?<![A-Za-z0-9/+=])(?P<s>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"),
        _is_mixed,
    ),
    _Rule(
        "jwt",
        "eyJ",
        re.compile(
            r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,}\.(?:eyJ[A-Za-z0-9_-]{4,}|)\.[A-Za-z0-9_.-]*[A-Za-z0-9_-]{6,}"
        ),
    ),
    _token("groq key", "gsk_", r"[A-Za-z0-9]{30,}"),
    _token("replicate token", "r8_", r"[A-Za-z0-9]{30,}"),
    _token("perplexity key", "pplx-", r"[A-Za-z0-9]{30,}"),
    _token("docker token", "dckr_[po]at_", r"[A-Za-z0-9_-]{20,}"),
    _token("digitalocean token", "do[opr]_v1_", r"[a-f0-9]{40,}"),
    _token("databricks token", "dapi", r"[a-f0-9]{32}"),
    _token("linear key", "lin_(?:api|oauth)_", r"[A-Za-z0-9]{30,}"),
    _token("notion token", "ntn_|secret_", r"[A-Za-z0-9]{40,}(?![A-Za-z0-9])"),
    _token("shopify token", "shp(?:at|ca|pa|ss)_", r"[A-Fa-f0-9]{32}"),
    _token("sentry token", "sntry[su]_", r"[A-Za-z0-9+/=_-]{30,}"),
    _token("vault token", r"hv[sbr]\.", r"[A-Za-z0-9_-]{20,}"),
    _token("grafana token", "glsa_|glc_", r"[A-Za-z0-9+/=_]{30,}"),
    _token("figma token", "figd_", r"[A-Za-z0-9_-]{30,}"),
    _token("postman key", "PMAK-", r"[A-Za-z0-9-]{30,}"),
    _token("atlassian token", "ATATT3", r"[A-Za-z0-9_=-]{30,}"),
    _token("planetscale token", "pscale_(?:tkn|pw|oauth)_", r"[A-Za-z0-9_.-]{20,}"),
    _token("supabase token", "sbp_|sb_secret_", r"[A-Za-z0-9_-]{20,}"),
    _token("doppler token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.", r"[A-Za-z0-9_.-]{30,}"),
    _token("age key", "AGE-SECRET-KEY-1", r"[0-9A-Z]{50,}"),
    _token("new relic key", "NRAK-", r"[A-Z0-9]{27}"),
    _token("mailgun key", "key-", r"[a-f0-9]{32}(?![A-Za-z0-9])"),
    _token("brevo key", "xkeysib-", r"[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    _token("resend key", "re_[A-Za-z0-9]{8}_", r"[A-Za-z0-9]{24}(?![A-Za-z0-9])"),
    _token("langsmith key", "lsv2_(?:pt|sk)_", r"[a-f0-9_]{32,}"),
    _token("tavily key", "tvly-", r"[A-Za-z0-9-]{20,}"),
    _token("cerebras key", "csk-", r"[a-z0-9]{40,}"),
    _token("pinecone key", "pcsk_", r"[A-Za-z0-9_]{40,}"),
    _token("posthog key", "ph[xc]_", r"[A-Za-z0-9]{40,}"),
    _token("rubygems key", "rubygems_", r"[a-f0-9]{48}"),
    _token("crates.io token", "cio[A-Za-z0-9]{32}(?![A-Za-z0-9])", ""),
    _token("circleci token", "CCI(?:PAT|PRJ)_", r"[A-Za-z0-9_]{30,}"),
    _token("buildkite token", "bk[uac][ag]?_", r"[a-z0-9]{40}"),
    _token("netlify token", "nfp_", r"[A-Za-z0-9]{36,}"),
    _token("pulumi token", "pul-", r"[a-f0-9]{40}"),
    _Rule(
        "terraform token", r"\.atlasv1\.", re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}")
    ),
    _token("fly token", "fo1_|fm[12][ar]?_", r"[A-Za-z0-9+/=_-]{40,}"),
    _token("hubspot token", "pat-(?:na|eu)[0-9]-", r"[a-f0-9-]{36}"),
    _token("airtable token", r"pat[A-Za-z0-9]{14}\.", r"[a-f0-9]{64}"),
    _token("dropbox token", r"sl\.(?:u\.)?", r"[A-Za-z0-9_-]{100,}"),
    _token("facebook token", "EAA[A-Za-z0-9]{80,}", ""),
    _token("bitbucket token", "ATBB", r"[A-Za-z0-9]{28,}"),
    _token("alibaba key id", "LTAI", r"[A-Za-z0-9]{16,20}(?![A-Za-z0-9])"),
    _Rule(
        "discord webhook",
        r"/[0-9]{15,21}/",
        re.compile(r"discord(?:app)?\.com/api/webhooks/(?P<s>[0-9]{15,21}/[A-Za-z0-9_-]{30,})"),
    ),
)
# Of the detectors of detect-secrets those for what has no rule above: by their tokens, or where their vendor is named.
_BY_TOKEN = (
    ("pypi-AgE", "pypi_token.PypiTokenDetector", "pypi token"),
    (r"SG\.", "sendgrid.SendGridDetector", "sendgrid key"),
    ("sq0csp-", "square_oauth.SquareOAuthDetector", "square secret"),
    (":AA", "telegram_token.TelegramBotTokenDetector", "telegram token"),
    ("-us[0-9]", "mailchimp.MailchimpDetector", "mailchimp key"),
)
_BY_VENDOR = (
    ("accountkey=", "azure_storage_key.AzureStorageKeyDetector", "azure key"),
    ("artifactory", "artifactory.ArtifactoryDetector", "artifactory token"),
    ("discord", "discord.DiscordBotTokenDetector", "discord token"),
    ("cloudant", "cloudant.CloudantDetector", "cloudant key"),
    ("ibm", "ibm_cloud_iam.IbmCloudIamDetector", "ibm cloud key"),
    ("softlayer", "softlayer.SoftlayerDetector", "softlayer key"),
    ("twilio", "twilio.TwilioKeyDetector", "twilio key"),
)
_KNOWN = [(re.compile(rule.begins), rule) for rule in _RULES]
_ALL_BEGIN = list(dict.fromkeys([*(rule.begins for rule in _RULES), *(row[0] for row in _BY_TOKEN)]))
# Most begin where a word does: that is asked first, and so a tenth of all places is looked at more closely.
_AT_WORDS = "|".join(begins for begins in _ALL_BEGIN if begins[0] not in "/:-\\")
_ANYWHERE = "|".join(begins for begins in _ALL_BEGIN if begins[0] in "/:-\\")
_BEGINS = re.compile(rf"(?<![A-Za-z0-9])(?:{_AT_WORDS})|{_ANYWHERE}".encode())
_VENDORS = [row[0].encode() for row in _BY_VENDOR]
_SHAPE = bytes(ord("a") if chr(n) in string.ascii_letters + string.digits + "_-" else 32 for n in range(256))


def _holds_token(text: str) -> bool:
    """Whether a long run of letters and digits stands in the text that begins, or follows what begins, as a token."""
    data = text.encode("utf-8", "surrogatepass")
    shape = data.translate(_SHAPE)
    at = shape.find(b"a" * _RUN)
    if at >= 0:
        lowered = data.lower()
        if [vendor for vendor in _VENDORS if vendor in lowered]:
            return True
    while at >= 0:
        end = shape.find(b" ", at + _RUN)
        end = len(shape) if end < 0 else end
        # A few tokens have a sign in them before which they are short, and after it long.
        if _BEGINS.search(data, max(0, at - 24), min(end + 1, at + 200)):
            return True
        at = shape.find(b"a" * _RUN, end)
    return False


def _without_tokens(text: str) -> str:
    for begins, rule in _KNOWN:
        if begins.search(text):
            text = rule.pattern.sub(_mask(rule), text)
    lowered = text.lower()
    named = [(plugin, kind) for word, plugin, kind in _BY_VENDOR if word in lowered]
    named += [(plugin, kind) for begins, plugin, kind in _BY_TOKEN if re.search(begins, text)]
    for plugin, kind in named:
        for found in sorted(set(_detector(plugin)(text)), key=len, reverse=True):
            text = text.replace(found, f"{_MASK}{kind}]")
    return text


@cache
def _detector(plugin: str) -> Callable[[str], list[str]]:
    """What finds this plugin's secrets in a text."""
    # Loaded when a text needs one: the package takes longer to load than most texts take to be looked through.
    module, name = plugin.split(".")
    detector: Any = getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)()

    def found(text: str) -> list[str]:
        secrets = (str(one).strip(" \t\r\n=:\"'") for one in detector.analyze_string(text))
        return [secret for secret in secrets if len(secret) >= 8 and _MASK not in secret]

    return found


_LINES = r"(?:(?:\s|\\[nrt])*[A-Za-z0-9+/=]{16,})"  # of base64, as files and JSON break them
_NAMED = r"(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
_PEM = _Rule(
    "private key",
    "",
    re.compile(
        rf"-----BEGIN {_NAMED}(?P<s>(?:(?!-----)[\s\S]){{32,20000}}?)-----END {_NAMED}"
        rf"|-----BEGIN {_NAMED}(?P<open>(?:(?:\s|\\[nr])*(?:Proc-Type|DEK-Info)[^\n\\]*)*{_LINES}+)"
    ),
)
_LONGEST_KEY = 20_000
_END = re.compile(rf"-----END {_NAMED}")
_BACKWARDS = re.compile(r"(?:[nrt]\\|\s|[A-Za-z0-9+/=])*+")  # lines of base64, read from their end
_PIECE = re.compile(r"(?P<between>(?:\\[nrt]|\s)++)|[A-Za-z0-9+/=]++")
_URL = _Rule(
    "password",
    "",
    re.compile(r"://[^\s/:@'\"<>`\\]{0,200}:(?P<s>[^\s/@'\"<>`\\]{3,200})@(?=[\w\[$%{])"),
    _is_password,
)


def _without_ends(text: str) -> str:
    """The text without ends of private keys that begin elsewhere.

    They are looked for from their last line backwards: a pattern that begins at their first one begins at each of the
    lines of all that is base64.
    """
    made, last = list[str](), 0
    for end in _END.finditer(text):
        before = text[max(last, end.start() - _LONGEST_KEY) : end.start()]
        found = _BACKWARDS.match(before[::-1])
        first = end.start() - (0 if found is None else found.end())
        lines: list[re.Match[str]] = []
        for piece in reversed(list(_PIECE.finditer(text, first, end.start()))):
            if piece["between"] is None and len(piece[0]) < 16:
                break
            lines += [] if piece["between"] else [piece]
        if lines:
            made += [text[last : lines[-1].start()], f"{_MASK}{_PEM.kind}]"]
            last = lines[0].end()
    return "".join([*made, text[last:]]) if made else text


def _mask(rule: _Rule) -> Callable[[re.Match[str]], str]:
    def mask(match: re.Match[str]) -> str:
        group = next((name for name, value in match.groupdict().items() if value), 0)
        start, end = match.span(group)
        if _MASK in match[group] or not rule.holds(match[group]):
            return match[0]
        return f"{match.string[match.start() : start]}{_MASK}{rule.kind}]{match.string[end : match.end()]}"

    return mask


# Names that secrets are given, longer ones first; what may follow one, and its value.
_NAMES = ("authorization", "bearer", "password", "passwd", "passphrase", "pwd", "secret", "token", "credential", "key")
_QUALIFIED = re.compile(r"(?:secret|api|access|private|auth|encryption|signing|master|account)[_-]?\Z")
_VALUE = re.compile(
    r"s?(?P<between>\\{0,3}[\"']?\]?\s{0,3}(?:=>|:=|[:=])\s{0,3}|[ ])"
    r"(?P<quote>\\{0,3}[\"'`]|)(?P<s>[^\s\"'`,;&\\]{6,400})(?P<end>\\{0,3}[\"'`]|)"
)
_HEADER = re.compile(
    r"(?:\\{0,3}[\"']?\s{0,3}[:=]\s{0,3}\\{0,3}[\"']?(?:(?i:bearer|basic|token|apikey)\s{1,3})?|\s{1,3})"
    r"(?P<s>[A-Za-z0-9._~+/=-]{12,})"
)
_LEADING = re.compile(r"[A-Za-z0-9_.-]{0,80}\Z")
_CODE = re.compile(r"[(){}<>]|\A[A-Za-z_]+(?:\.[A-Za-z_]+)+\Z|\A[~.]*/(?![A-Za-z0-9/+=]{31,}\Z)")
_WORDY = re.compile(r"\A[a-z]+(?:[-_.][a-z0-9]{1,12})+\Z")


def _without_named(text: str) -> str:
    """What follows a name that secrets are given is masked, where it looks like one, and what is said to be one."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters of few scripts: names of secrets are not written in them
        lowered = "".join(char.lower() if char.isascii() else char for char in text)
    found = [span for name in _NAMES if name in lowered for span in _named(text, lowered, name)]
    found = sorted([*found, *spoken(text, lowered, lambda secret: _is_password(secret) and not _CODE.search(secret))])
    if not found:
        return text
    made, last = list[str](), 0
    for start, end, kind in found:
        if start >= last:
            made += [text[last:start], f"{_MASK}{kind}]"]
            last = end
    return "".join([*made, text[last:]])


def _named(text: str, lowered: str, name: str) -> Iterator[tuple[int, int, str]]:
    """Where values of that name stand that look like secrets, and of what kind they are."""
    pattern = _HEADER if name in ("authorization", "bearer") else _VALUE
    at = lowered.find(name)
    while at >= 0:
        is_mask = text.startswith(_MASK, at - 1)
        match = None if is_mask else pattern.match(text, at + len(name))
        if match is not None and not match["s"].startswith("[") and _is_password(match["s"]):
            kind = _kind(match, lowered, name, at)
            if kind is not None:
                yield match.start("s"), match.end("s"), kind
        at = lowered.find(name, at + len(name))


def _kind(match: re.Match[str], lowered: str, name: str, at: int) -> str | None:
    secret, text = match["s"], match.string
    if match.re is _HEADER:
        both = name == "authorization" and len(secret) >= 16 and not (secret.islower() or secret.isupper())
        return "credentials" if both or _is_random(secret) else None
    if _CODE.search(secret) or (name == "key" and not _QUALIFIED.search(lowered, max(0, at - 11), at)):
        return None
    leading = _LEADING.search(text, max(0, at - 80), at)
    whole = (leading[0] if leading else "") + text[at : at + len(name)]
    if not _looks_secret(match, whole, secret):
        return None
    return "password" if name in ("password", "passwd", "passphrase", "pwd") else "key" if name == "key" else "token"


def _looks_secret(match: re.Match[str], name: str, secret: str) -> bool:
    """Of a variable of the environment whatever it is, of a password in quotes nearly so, of others what is random."""
    letters, quoted = bool(re.search("[A-Za-z]", secret)), bool(match["quote"] and match["end"])
    if match["between"] == " ":  # only after an option of a command is a blank an equals sign
        return name.startswith("-") and _is_random(secret)
    if name.isupper() and "_" in name and "=" in match["between"]:
        return letters and (_is_random(secret) or len(secret) >= 12 or quoted or "PASS" in name)
    if re.search("(?i)pass|pwd", name):
        return _is_random(secret) or (quoted and letters and not secret.isidentifier())
    return _is_random(secret) and len(secret) >= 16 and not _WORDY.match(secret)
