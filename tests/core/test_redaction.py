"""What is taken out of texts, and what stays: variables by name, passwords in addresses, harmless words."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_lossopt.core.redaction import HIDDEN, redact, redact_leaves

SECRET_NAMES = [
    "DB_PASS", "SSHPASS", "PASS", "DB_PASS_OLD", "MYSQL_PWD", "DB_PWD_2", "DB_PASSWD", "PGPASSWORD", "KEY_PASSPHRASE",
    "passphrase", "X_BEARER", "BEARER_TOKEN", "HF_TOKEN", "GITHUB_TOKEN_2", "ACCESSTOKEN", "CLIENT_SECRET_OLD",
    "SECRETS", "WANDB_API_KEY", "OPENAI_APIKEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "SSH_PRIVATE_KEY",
    "MY_CREDENTIAL", "CREDENTIALS_JSON", "REDISCLI_AUTH", "NPM_AUTH_LINE", "HTTP_AUTHORIZATION", "X_OAUTH2",
]  # fmt: skip
HARMLESS_NAMES = [
    "PWD", "OLDPWD", "BYPASS", "COMPASS", "GIT_AUTHOR_NAME", "AUTHOR", "XAUTHORITY", "TOKENIZERS_PARALLELISM",
    "TOKENIZER", "SSH_AUTH_SOCK", "PASSENGERS", "DB_PASSWORD_FILE", "AUTH_TYPE", "TOKEN_URL", "MONKEY", "KEYBOARD",
]  # fmt: skip
# A secret that a person would have: no plain word, no number.
secrets = st.from_regex(r"[A-Za-z][A-Za-z0-9!$%*+,./~-]{4,20}[0-9][A-Za-z0-9]", fullmatch=True)
words = st.sampled_from(["adam", "digits", "kernel", "cosine", "MOMENT", "Lossy", "secret", "run", "admin"])


def with_environment(text: str, environment: Mapping[str, str]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        for name in (*os.environ, *environment):
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        return redact(text)


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_variables_are_secret_by_their_names(name: str) -> None:
    assert with_environment("a s3cr-xY7 b", {name: "s3cr-xY7"}) == "a *** b"


@pytest.mark.parametrize("name", HARMLESS_NAMES)
def test_other_variables_are_not(name: str) -> None:
    assert with_environment("a s3cr-xY7 b", {name: "s3cr-xY7"}) == "a s3cr-xY7 b"


ADDRESSES = {
    "DATABASE_URL": "postgresql+psycopg2://me:{}@host:5432/db",
    "REDIS": "redis://:{}@host:6379/0",
    "PIP_INDEX_URL": "https://me:{}@host/simple",
    "PIP_EXTRA_INDEX_URL": "https://host/a https://me:{}@host/b",
    "HTTP_PROXY": "http://me:{}@proxy:3128",
    "https_proxy": "me:{}@proxy:3128",
    "SOME_LINK": "https://host/x?a=1&access_token={}&b=2",
    "SIGNED": "https://host/x?sv=1&sig={}",
    "PRESIGNED": "https://host/x?X-Amz-Signature={}",
    "JDBC": "jdbc:sqlserver://host;user=me;password={}",
}


@settings(max_examples=20, deadline=None)
@given(secrets)
@pytest.mark.parametrize("name", ADDRESSES)
def test_a_password_in_an_address_is_found_in_it_and_by_itself(name: str, secret: str) -> None:
    spelled = quote(secret, safe="")
    address = ADDRESSES[name].format(spelled)
    shown = with_environment(f"{address} 'login failed: {secret}'", {name: address})
    assert secret not in shown
    assert spelled not in shown
    assert HIDDEN in shown.split(" 'login")[0]
    assert "host" in shown or "proxy" in shown


@settings(max_examples=60, deadline=None)
@given(secrets, secrets, st.sampled_from(SECRET_NAMES), st.sampled_from("\"'=:, ()[]{}<>|;&?#@"))
def test_no_secret_is_left_whatever_stands_around_it(secret: str, other: str, name: str, around: str) -> None:
    environment = {name: secret, f"{name}_TOKEN": secret + "-" + other, "OTHER_PASS": other}
    for text in (secret, f"{secret}-{other}", other):
        shown = with_environment(f"a {around}{text}{around} b", environment)
        assert text not in shown
        assert shown.startswith("a ")
        assert shown.endswith(" b")
    as_json = with_environment(json.dumps({"lr": secret}), environment)
    assert json.loads(as_json) == {"lr": HIDDEN}


@settings(max_examples=60, deadline=None)
@given(st.lists(words, min_size=1), st.sampled_from(SECRET_NAMES), words)
def test_a_plain_short_word_is_left_where_it_stands(text: list[str], name: str, password: str) -> None:
    name_of_run = " ".join(text)
    assert with_environment(name_of_run, {name: password}) == name_of_run


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), secrets)
def test_redacting_twice_changes_nothing_more(text: str, secret: str) -> None:
    once = with_environment(f"{text} {secret}", {"DB_PASS": secret})
    assert with_environment(once, {"DB_PASS": secret}) == once


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://host/x?token=abc&sig=def#top", "https://host/x?token=***&sig=***"),
        ("https://host/x?client_secret=a&page=2", "https://host/x?client_secret=***&page=2"),
        ("https://host/x?tokenizer=bpe&signal=3&author=me", "https://host/x?tokenizer=bpe&signal=3&author=me"),
        ("https://me:12345@host/x", "https://***@host/x"),
        ("mongodb://me:a-b@h1:1,h2:2/db", "mongodb://***@h1:1,h2:2/db"),
        ("Authorization: Basic bWU6czNjcjN0", "Authorization: Basic ***"),
        ("authorization: Bearer eyJhbGciOi.J9.x-7", "authorization: Bearer ***"),
        ("the bearer of this letter has 12 stamps", "the bearer of this letter has 12 stamps"),
        ("adam lr=0.001 CrossEntropyLoss seed=0", "adam lr=0.001 CrossEntropyLoss seed=0"),
    ],
)
def test_texts(text: str, shown: str) -> None:
    assert with_environment(text, {}) == shown


def test_a_folder_that_exists_is_no_secret(tmp_path: os.PathLike[str]) -> None:
    environment = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path), "START_PWD": str(tmp_path)}
    assert with_environment(f"{tmp_path}/x", environment) == f"{tmp_path}/x"


def test_keys_of_a_config_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASS", "optimizer")
    assert redact_leaves({"optimizer": {"lr": 1, "name": "optimizer"}}) == {"optimizer": {"lr": 1, "name": "***"}}
