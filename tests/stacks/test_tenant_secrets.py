"""Per-customer secrets: the same each time, different for everything that differs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from itertools import product

import pytest

from stacks.tenant_secrets import ENCRYPTION_KEY_LENGTH, derive

KEYS = {"1": "first master key, long enough 0123456789", "2": "second master key, long enough 012345678"}


def secret(*, version: int = 1, purpose: str = "jwt", customer_id: str = "c-acme") -> str:
    """Derive a secret."""
    return derive(master_keys=KEYS, version=version, purpose=purpose, customer_id=customer_id)


def test_it_is_hkdf_sha256() -> None:
    """The value is RFC 5869's, computed here by hand: whoever holds the master key can derive it again."""
    extracted = hmac.new(b"\0" * 32, KEYS["1"].encode(), hashlib.sha256).digest()
    expanded = hmac.new(extracted, b"markitup-hosting/jwt/v1/c-acme\x01", hashlib.sha256).digest()
    assert secret() == base64.urlsafe_b64encode(expanded).decode().rstrip("=")


def test_it_never_changes_by_itself() -> None:
    """A pinned value: another one would log everybody out and lock every note away."""
    assert secret() == secret()
    assert secret(purpose="encryption") == "I5mFT1pbyxrpGijZL9Z39laCj0BHLM_WkduHT2Lua60"


def test_everything_that_differs_makes_a_difference() -> None:
    """No two of customer, purpose and version share a secret, and the two keys of an app don't begin alike."""
    combinations = list(product(("c-acme", "c-acme2", "c-birch"), ("jwt", "encryption"), (1, 2)))
    secrets = [secret(customer_id=customer, purpose=kind, version=version) for customer, kind, version in combinations]
    assert len(set(secrets)) == len(combinations)
    assert len({each[:8] for each in secrets}) == len(combinations)


def test_a_new_master_key_is_another_secret() -> None:
    """The version alone doesn't make it: the key of that version counts."""
    other = {"1": "x" * 40}
    assert derive(master_keys=other, version=1, purpose="jwt", customer_id="c-acme") != secret()


def test_lengths_are_the_apps() -> None:
    """256 bits in 43 URL-safe characters; cut to 32 it still fits the app's encryption key."""
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secret())
    assert len(secret()[:ENCRYPTION_KEY_LENGTH]) == 32


@pytest.mark.parametrize(
    "keys", [{}, {"2": "k" * 40}, {"1": ""}, {"1": "k" * 31}], ids=["none", "another", "empty", "short"]
)
def test_without_a_good_key_there_is_no_secret(keys: dict[str, str]) -> None:
    """The message names the setting, the version and the command that makes a key, and shows no key."""
    with pytest.raises(ValueError, match="hosting:tenant_master_keys") as error:
        derive(master_keys=keys, version=1, purpose="jwt", customer_id="c-acme")
    assert "for version 1" in str(error.value)
    assert "pulumi config set --secret --path 'hosting:tenant_master_keys[\"1\"]'" in str(error.value)
    assert "kkkk" not in str(error.value)


def test_32_characters_are_enough() -> None:
    """The shortest key that is accepted."""
    assert derive(master_keys={"1": "k" * 32}, version=1, purpose="jwt", customer_id="c-acme")
