"""Secrets are masked in whatever they stand, and nothing else is touched. None of these secrets is a real one."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.guard.redact import redact, redacted

LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + "234567"
WORD = LETTERS + "_-"


def drawn(random: random.Random, alphabet: str, length: int) -> str:
    """Letters by lot, a digit and both cases among them where there are such."""
    must = [c for c in ("7", "k", "Q") if c in alphabet]
    rest = [random.choice(alphabet) for _ in range(length - len(must))]
    made = must + rest
    random.shuffle(made)
    # Not at an end: a sign there is read as what comes after.
    return "".join(made).strip("_-").ljust(length, "7" if "7" in alphabet else "K")


def _jwt(random: random.Random) -> str:
    parts = ('{"alg":"HS256","typ":"JWT"}', '{"sub":"' + drawn(random, LETTERS, 12) + '"}')
    head, body = (base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
    return f"{head}.{body}.{drawn(random, LETTERS, 43)}"


# By its kind in the mask: what makes one.
TOKENS: dict[str, list[Callable[[random.Random], str]]] = {
    "anthropic key": [lambda r: f"sk-ant-api03-{drawn(r, WORD, 93)}AA", lambda r: f"sk-ant-oat01-{drawn(r, WORD, 90)}"],
    "openai key": [
        lambda r: f"sk-{drawn(r, LETTERS, 20)}T3BlbkFJ{drawn(r, LETTERS, 20)}",
        lambda r: f"sk-proj-{drawn(r, WORD, 120)}",
        lambda r: f"sk-svcacct-{drawn(r, WORD, 70)}",
    ],
    "openrouter key": [lambda r: f"sk-or-v1-{drawn(r, HEX, 64)}"],
    "xai key": [lambda r: f"xai-{drawn(r, LETTERS, 80)}"],
    "google key": [lambda r: f"AIza{drawn(r, LETTERS, 35)}", lambda r: f"GOCSPX-{drawn(r, LETTERS, 28)}"],
    "google token": [lambda r: f"ya29.{drawn(r, LETTERS, 120)}"],
    "github token": [
        *(lambda r, p=p: f"gh{p}_{drawn(r, LETTERS, 36)}" for p in "pousr"),
        lambda r: f"github_pat_{drawn(r, LETTERS, 22)}_{drawn(r, LETTERS, 59)}",
    ],
    "gitlab token": [lambda r: f"glpat-{drawn(r, LETTERS, 20)}", lambda r: f"glrt-{drawn(r, LETTERS, 20)}"],
    "slack token": [
        lambda r: f"xoxb-{drawn(r, '123456789', 12)}-{drawn(r, '123456789', 12)}-{drawn(r, LETTERS, 24)}",
        lambda r: f"xapp-1-{drawn(r, UPPER, 11)}-{drawn(r, '123456789', 13)}-{drawn(r, HEX, 64)}",
    ],
    "npm token": [lambda r: f"npm_{drawn(r, LETTERS, 36)}"],
    "hugging face token": [lambda r: f"hf_{drawn(r, LETTERS, 34)}"],
    "stripe key": [lambda r: f"sk_live_{drawn(r, LETTERS, 24)}", lambda r: f"rk_test_{drawn(r, LETTERS, 99)}"],
    "webhook secret": [lambda r: f"whsec_{drawn(r, LETTERS, 32)}"],
    "aws key id": [lambda r: f"AKIA{drawn(r, UPPER, 16)}", lambda r: f"ASIA{drawn(r, UPPER, 16)}"],
    "jwt": [_jwt],
    "groq key": [lambda r: f"gsk_{drawn(r, LETTERS, 52)}"],
    "replicate token": [lambda r: f"r8_{drawn(r, LETTERS, 37)}"],
    "perplexity key": [lambda r: f"pplx-{drawn(r, LETTERS, 48)}"],
    "docker token": [lambda r: f"dckr_pat_{drawn(r, LETTERS, 27)}"],
    "digitalocean token": [lambda r: f"dop_v1_{drawn(r, HEX, 64)}"],
    "databricks token": [lambda r: f"dapi{drawn(r, HEX, 32)}"],
    "linear key": [lambda r: f"lin_api_{drawn(r, LETTERS, 40)}"],
    "notion token": [lambda r: f"ntn_{drawn(r, LETTERS, 46)}"],
    "shopify token": [lambda r: f"shpat_{drawn(r, HEX, 32)}"],
    "sentry token": [lambda r: f"sntrys_{drawn(r, LETTERS, 60)}"],
    "vault token": [lambda r: f"hvs.{drawn(r, LETTERS, 95)}"],
    "grafana token": [lambda r: f"glsa_{drawn(r, LETTERS, 32)}_{drawn(r, HEX, 8)}"],
    "figma token": [lambda r: f"figd_{drawn(r, LETTERS, 40)}"],
    "postman key": [lambda r: f"PMAK-{drawn(r, HEX, 24)}-{drawn(r, HEX, 34)}"],
    "atlassian token": [lambda r: f"ATATT3xFfGF0{drawn(r, LETTERS, 180)}"],
    "planetscale token": [lambda r: f"pscale_tkn_{drawn(r, LETTERS, 43)}"],
    "supabase token": [lambda r: f"sbp_{drawn(r, HEX, 40)}"],
    "doppler token": [lambda r: f"dp.pt.{drawn(r, LETTERS, 43)}"],
    "age key": [lambda r: f"AGE-SECRET-KEY-1{drawn(r, UPPER, 58)}"],
    "new relic key": [lambda r: f"NRAK-{drawn(r, UPPER, 27)}"],
    "mailgun key": [lambda r: f"key-{drawn(r, HEX, 32)}"],
    "brevo key": [lambda r: f"xkeysib-{drawn(r, HEX, 64)}-{drawn(r, LETTERS, 16)}"],
    "resend key": [lambda r: f"re_{drawn(r, LETTERS, 8)}_{drawn(r, LETTERS, 24)}"],
    "langsmith key": [lambda r: f"lsv2_pt_{drawn(r, HEX, 32)}_{drawn(r, HEX, 10)}"],
    "tavily key": [lambda r: f"tvly-dev-{drawn(r, LETTERS, 32)}"],
    "cerebras key": [lambda r: f"csk-{drawn(r, string.ascii_lowercase + string.digits, 48)}"],
    "pinecone key": [lambda r: f"pcsk_{drawn(r, LETTERS, 6)}_{drawn(r, LETTERS, 63)}"],
    "posthog key": [lambda r: f"phx_{drawn(r, LETTERS, 47)}"],
    "rubygems key": [lambda r: f"rubygems_{drawn(r, HEX, 48)}"],
    "crates.io token": [lambda r: f"cio{drawn(r, LETTERS, 32)}"],
    "circleci token": [lambda r: f"CCIPAT_{drawn(r, LETTERS, 22)}_{drawn(r, HEX, 40)}"],
    "buildkite token": [lambda r: f"bkua_{drawn(r, string.ascii_lowercase + string.digits, 40)}"],
    "netlify token": [lambda r: f"nfp_{drawn(r, LETTERS, 36)}"],
    "pulumi token": [lambda r: f"pul-{drawn(r, HEX, 40)}"],
    "terraform token": [lambda r: f"{drawn(r, LETTERS, 14)}.atlasv1.{drawn(r, LETTERS, 67)}"],
    "hubspot token": [lambda r: f"pat-na1-{drawn(r, HEX, 8)}-{drawn(r, HEX, 4)}-4abc-9def-{drawn(r, HEX, 12)}"],
    "airtable token": [lambda r: f"pat{drawn(r, LETTERS, 14)}.{drawn(r, HEX, 64)}"],
    "dropbox token": [lambda r: f"sl.u.{drawn(r, LETTERS, 140)}"],
    "facebook token": [lambda r: f"EAA{drawn(r, LETTERS, 180)}"],
    "bitbucket token": [lambda r: f"ATBB{drawn(r, LETTERS, 32)}"],
    "alibaba key id": [lambda r: f"LTAI{drawn(r, LETTERS, 20)}"],
    "pypi token": [lambda r: f"pypi-AgEIcHlwaS5vcmc{drawn(r, LETTERS, 150)}"],
    "sendgrid key": [lambda r: f"SG.{drawn(r, LETTERS, 22)}.{drawn(r, LETTERS, 43)}"],
    "square secret": [lambda r: f"sq0csp-{drawn(r, LETTERS, 43)}"],
    "telegram token": [lambda r: f"{drawn(r, '123456789', 10)}:AA{drawn(r, LETTERS, 33)}"],
    "mailchimp key": [lambda r: f"{drawn(r, HEX, 32)}-us12"],
}
CONTEXTS = {
    "alone": "{}",
    "prose": "use {} for it, then tell me",
    "export": "export SERVICE_API_KEY={}\necho done",
    "env": 'DEBUG=1\nSERVICE_TOKEN="{}"\nPORT=80',
    "json": '{{"name": "x", "value": "{}"}}',
    "python": "client = Client('{}')",
    "yaml": "credentials:\n  value: {}\n",
    "command": "curl -H 'X-Thing: {}' https://example.com/v1/items",
    "query": "https://example.com/v1/items?k={}&page=2",
    "diff": "+    value = `{}`;\n-    old",
    "long": "x = 1\n" * 4000 + "y = {}\n" + "# and so on\n" * 4000,
}
# What is known by where it stands.
PLACED: dict[str, tuple[str, Callable[[random.Random], str]]] = {
    "aws secret key": ("id AKIA2345ABCDEFGH2345 and secret {}", lambda r: drawn(r, LETTERS + "/+", 40)),
    "aws secret key in a profile": ("aws_secret_access_key = {}", lambda r: drawn(r, LETTERS + "/+", 40)),
    "aws secret key of json": ('"SecretAccessKey": "{}"', lambda r: drawn(r, LETTERS, 40)),
    "slack webhook": (
        "https://hooks.slack.com/services/{}",
        lambda r: f"T0{drawn(r, UPPER, 8)}/B0{drawn(r, UPPER, 8)}/{drawn(r, LETTERS, 24)}",
    ),
    "discord webhook": (
        "https://discord.com/api/webhooks/{}",
        lambda r: f"{drawn(r, '123456789', 19)}/{drawn(r, LETTERS, 68)}",
    ),
    "npmrc": ("//registry.example.com/:_authToken={}", lambda r: drawn(r, HEX, 36)),
    "bearer": ("Authorization: Bearer {}", lambda r: drawn(r, LETTERS, 32)),
    "bearer in curl": ('curl -H "Authorization: Bearer {}" localhost', lambda r: drawn(r, LETTERS, 24)),
    "basic": ("authorization: Basic {}", lambda r: base64.b64encode(drawn(r, LETTERS, 18).encode()).decode()),
    "bearer in json": ('{{"Authorization":"Bearer {}"}}', lambda r: drawn(r, HEX, 40)),
    "bearer in json in json": ('{{\\"Authorization\\": \\"Bearer {}\\"}}', lambda r: drawn(r, HEX, 40)),
    "password of a URL": ("postgres://app:{}@db.example.com:5432/app", lambda r: drawn(r, LETTERS, 14)),
    "password of an https URL": ("git clone https://bot:{}@example.com/r.git", lambda r: drawn(r, LETTERS, 20)),
    "redis without a user": ("redis://:{}@cache:6379/0", lambda r: drawn(r, LETTERS, 20)),
    "variable": ("export FOO_TOKEN={}", lambda r: drawn(r, LETTERS, 14)),
    "variable of letters": ("DB_PASSWORD={}", lambda r: drawn(r, string.ascii_lowercase, 10)),
    "quoted variable": ("APP_SECRET='{}'", lambda r: drawn(r, string.ascii_lowercase, 16)),
    "env file": ("A=1\nMAIL_PASSWD={}\nB=2", lambda r: drawn(r, LETTERS, 9)),
    "json password": ('{{"user": "app", "password": "{}"}}', lambda r: drawn(r, LETTERS + "!#", 12)),
    "password in json in json": ('{{\\"password\\": \\"{}\\"}}', lambda r: drawn(r, LETTERS, 12)),
    "yaml password": ("password: {}\nport: 1", lambda r: drawn(r, LETTERS, 12)),
    "option": ("login --password {} --user app", lambda r: drawn(r, LETTERS, 12)),
    "option with token": ("deploy --api-key {}", lambda r: drawn(r, LETTERS, 24)),
    "api key of code": ('apiKey: "{}",', lambda r: drawn(r, HEX, 32)),
    "client secret": ('client_secret="{}"', lambda r: drawn(r, LETTERS, 32)),
    "header of a key": ("-H 'x-api-key: {}'", lambda r: drawn(r, LETTERS, 32)),
    "session token": ('"aws_session_token": "{}"', lambda r: drawn(r, LETTERS + "/+", 200)),
    "azure": ("EndpointsProtocol=https;AccountName=x;AccountKey={}", lambda r: drawn(r, LETTERS + "/+", 86) + "=="),
    "ibm": ("ibm_cloud_api_key = '{}'", lambda r: drawn(r, LETTERS, 44)),
    "twilio": ("twilio auth {}", lambda r: "SK" + drawn(r, HEX, 32)),
    "discord": (
        "discord bot {}",
        lambda r: f"MT{drawn(r, LETTERS, 22)}.{drawn(r, LETTERS, 6)}.{drawn(r, LETTERS, 27)}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_is_masked_wherever_it_stands(kind: str, context: str) -> None:
    for n, make in enumerate(TOKENS[kind]):
        for seed in range(5):
            secret = make(random.Random(f"{kind}{n}{seed}"))
            text = CONTEXTS[context].format(secret)
            masked = redact(text)
            assert secret not in masked
            assert masked == text.replace(secret, f"[secret: {kind}]")
            assert redact(masked) == masked


@pytest.mark.parametrize("place", PLACED)
def test_a_secret_is_masked_by_where_it_stands(place: str) -> None:
    text, make = PLACED[place]
    for seed in range(20):
        secret = make(random.Random(f"{place}{seed}"))
        masked = redact(text.format(secret))
        assert secret not in masked, masked
        assert masked.count("[secret: ") == text.count("AKIA") + 1
        assert redact(masked) == masked


SPOKEN = [
    ("my wifi password is {}", "Sommer2024!x"),
    ("The password for staging is {}, please remember it.", "tr0ub4dor&3"),
    ("The password of the old admin account was {}.", "tr0ub4dor&3"),
    ("pw: {}", "hunter2!!9"),
    ("Kennwort: {}", "Geheim123xyz"),
    ("Das Passwort f\u00fcr den Server lautet {}", "Geheim123xyz"),
    ("contrase\u00f1a: {}", "Secreta123x"),
    ("mot de passe : {}", "Secret123x"),
    ("\u5bc6\u7801\uff1a{}", "Abc12345xyz"),
    ("\u043f\u0430\u0440\u043e\u043b\u044c: {}", "Abc12345xyz"),
    ("smtp_pass: {}", "S3cr3tPass9"),
    ("the passcode is {}", "99XyZ1234"),
    ("my PIN is {}", "4821"),
    ("passphrase: {}", "correct horse battery staple"),
    ("my token is {} ok", "a8F3kLm29QwErTy77ZxCvB12"),
    ("the AWS secret is {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKy"),
    ("mysql -u root -p{} shop", "S3cr3tPass9"),
    ("sshpass -p '{}' ssh a@b", "S3cr3tPass9"),
    ("curl -u admin:{} https://x.example", "S3cr3tPass9"),
]


@pytest.mark.parametrize(("said", "secret"), SPOKEN)
def test_a_secret_is_masked_where_it_is_said_to_be_one(said: str, secret: str) -> None:
    masked = redact(said.format(secret))
    assert masked in [said.format(f"[secret: {kind}]") for kind in ("password", "token")]
    assert redact(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "the password is stored in the vault",
        "the password for staging is in 1password",
        "the password was changed on 12 May",
        "password is at least 12 characters long",
        "hashed_password = argon2.hash_password(password)",
        "The token is 24 letters long.",
        "the secret is version-2-of-the-recipe",
        "shopping is 2000 times nicer",
        "PIN 13 is high",
        "curl -u $USER:$PASS https://x.example",
        "mysql -u root -p shop",
    ],
)
def test_what_is_said_of_secrets_is_none(text: str) -> None:
    assert redact(text) is text


@pytest.mark.parametrize("kind", ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"])
@pytest.mark.parametrize("how", ["lines", "json", "json in json", "begins", "ends"])
def test_a_private_key_is_masked_as_a_whole(kind: str, how: str) -> None:
    rows = [drawn(random.Random(f"{kind}{n}"), LETTERS + "/+", 64) for n in range(12)]
    begin, end = f"-----BEGIN {kind}-----", f"-----END {kind}-----"
    text = "\n".join([begin, *rows, end])
    text = {"begins": "\n".join([begin, *rows]), "ends": "\n".join([*rows, end])}.get(how, text)
    for _ in range(["lines", "json", "json in json"].index(how) if how.startswith("json") else 0):
        text = json.dumps(text)
    masked = redact(f"before {text} after")
    assert not [row for row in rows if row[:20] in masked]
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert masked.count("[secret: private key]") == 1
    assert redact(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing here",
        "password = os.environ['DB_PASSWORD']",
        "token = get_token()",
        "DB_PASSWORD=$OTHER_PASSWORD",
        "DB_PASSWORD=${DB_PASSWORD:-changeme}",
        "API_KEY=<your key>",
        "API_KEY=your-api-key-here",
        "api_key: str | None = None",
        '"password": "password"',
        'type="password" name="password"',
        "max_tokens: 4096, input_tokens=123456789012345678",
        "Authorization: Bearer $TOKEN",
        "Authorization: Bearer <token>",
        "postgres://user:password@localhost/db",
        "postgres://user:${PASSWORD}@localhost/db",
        "http://localhost:8080/a@b",
        "commit 3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
        "id 123e4567-e89b-12d3-a456-426614174000",
        "toolu_01A09q90qw90lq917835lq9",
        "sk-learn-some-long-kebab-case-name",
        "the token a3 is not a secret",
        "-----BEGIN PRIVATE KEY----- begins a key, and what follows it is prose that nobody has to hide",
        "secretName: my-cluster-secret-name-2",
        "keyboard: monkey=banana1234567890abc",
        "author=Someone1234567890abcdefgh",
        "see src/auth/token.py:12 and tests/auth/test_token_refresh_flow_2.py",
    ],
)
def test_what_holds_no_secret_stays_the_same_object(text: str) -> None:
    assert redact(text) is text


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_masking_twice_is_masking_once(text: str) -> None:
    for said in (text, f"API_TOKEN={text}", f'password: "{text}"', f"https://a:{text}@b.c"):
        masked = redact(said)
        assert redact(masked) == masked


def test_text_that_no_database_holds_is_masked_too() -> None:
    token = f"ghp_{drawn(random.Random(1), LETTERS, 36)}"
    assert redact(f"\ud800 {token} \U0001f600 \u0130") == "\ud800 [secret: github token] \U0001f600 \u0130"


def test_nothing_is_asked_of_a_network_or_read_as_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setattr("detect_secrets.settings.get_settings", refused)
    for kind in ("pypi token", "sendgrid key", "mailchimp key", "telegram token"):
        secret = TOKENS[kind][0](random.Random(kind))
        assert redact(f"x {secret} y") == f"x [secret: {kind}] y"


def test_arguments_of_calls_are_masked_by_their_names_too() -> None:
    secret = drawn(random.Random(2), LETTERS, 24)
    given = {"env": {"API_KEY": secret, "PORT": "80"}, "password": "hunter22", "n": 1, "list": [f"x --token {secret}"]}
    assert redacted(given) == {
        "env": {"API_KEY": "[secret: key]", "PORT": "80"},
        "password": "[secret: password]",
        "n": 1,
        "list": ["x --token [secret: token]"],
    }
    harmless = {"max_tokens": "many", "key": "value", "tokenizer": "o200k_base_2024_05_13", "path": ["a/token.py"]}
    assert redacted(harmless) == harmless
