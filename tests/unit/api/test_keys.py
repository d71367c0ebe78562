"""API keys and passwords without a database."""

from collections.abc import Callable

import pytest
from parlance.api.identity import keys, passwords


def test_a_key_has_its_parts() -> None:
    key = keys.generate_key("test")
    prefix, environment, key_id, secret, crc = key.text.split("_")

    assert (prefix, environment, key_id) == ("pk", "test", key.key_id)
    assert (len(secret), len(crc), len(key.sha256)) == (43, 6, 32)
    assert keys.parse_key_id(key.text) == key.key_id


@pytest.mark.parametrize("environment", ["eu_west", "_", "a_b_c", "live-2"])
def test_an_environment_may_hold_underscores(environment: str) -> None:
    key = keys.generate_key(environment)

    assert keys.parse_key_id(key.text) == key.key_id


@pytest.mark.parametrize("environment", ["", "liv\xe9", "x" * 33, "a b"])
def test_no_key_is_made_that_could_not_be_checked(environment: str) -> None:
    with pytest.raises(keys.InvalidEnvironment):
        keys.generate_key(environment)


def test_keys_do_not_repeat() -> None:
    assert len({keys.generate_key().text for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: text.replace("pk_", "sk_", 1),
        lambda text: text.upper(),
        lambda text: text[:20] + ("a" if text[20] != "a" else "b") + text[21:],
        lambda text: f"é{text}",
        lambda text: text * 4,
        lambda text: "pk_live_x",
    ],
)
def test_a_mistyped_key_is_told_by_its_crc(spoil: Callable[[str], str]) -> None:
    text = keys.generate_key().text

    with pytest.raises(keys.InvalidKey):
        keys.parse_key_id(spoil(text))


def test_passwords() -> None:
    stored = passwords.hash_password("correct horse")

    assert stored.startswith("$argon2id$")
    assert passwords.is_password_right(stored, "correct horse")
    assert not passwords.is_password_right(stored, "wrong horse")
    assert not passwords.is_password_right(None, "correct horse")
