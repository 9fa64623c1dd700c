"""Providers: what a plugin may declare, and what is shown of a secret."""

import pytest

from owlrunner import ConfigField, Provider
from owlrunner.provider import hidden


@pytest.mark.parametrize("name", ["", "Acme", "ac me", "-acme", "acme_", "a/b", "acme\n", "a" * 51])
def test_a_name_fits_into_a_path(name: str) -> None:
    """A provider's name is one segment of a path and fits into its column."""
    with pytest.raises(ValueError, match="name: expected up to 50 lower-case letters"):
        Provider(name, "Acme")


@pytest.mark.parametrize("name", ["a", "apple-search-ads", "app_store2", "a" * 50])
def test_names_that_fit(name: str) -> None:
    """Lower-case letters, digits and single marks between them make a name."""
    assert Provider(name, "Acme").name == name


def test_nothing_is_unnamed() -> None:
    """Providers and keys have labels, and a key stands once."""
    with pytest.raises(ValueError, match="label: expected"):
        Provider("acme", " ")
    with pytest.raises(ValueError, match="key: expected"):
        ConfigField("", "Key")
    with pytest.raises(ValueError, match="fields: each key must be there once, got a, a"):
        Provider("acme", "Acme", fields=(ConfigField("a", "A"), ConfigField("a", "Also A")))


def test_a_sync_is_counted() -> None:
    """A provider with a sync says how many it goes over, and one without says nothing."""
    with pytest.raises(ValueError, match="sync_job and sync_count: expected both"):
        Provider("acme", "Acme", sync_job="acme_sync")


def test_a_webhook_has_a_secret() -> None:
    """A provider with webhooks names a key of its configuration that is secret."""
    with pytest.raises(ValueError, match="webhook_job and webhook_secret: expected both"):
        Provider("acme", "Acme", webhook_job="acme_sync")
    with pytest.raises(ValueError, match="webhook_secret: expected the key of a secret field, got 'token'"):
        Provider("acme", "Acme", fields=(ConfigField("token", "Token"),), webhook_job="sync", webhook_secret="token")


@pytest.mark.parametrize(
    ("value", "shown"), [("", "****"), (None, "****"), ("abcd", "****"), ("abcde", "abcd****"), (12345, "1234****")]
)
def test_a_secret_is_hidden(value: object, shown: str) -> None:
    """Four characters of a longer secret are shown, of a short one none."""
    assert hidden(value) == shown


def test_only_what_is_declared_public_is_shown() -> None:
    """A key that the provider does not know may be a secret, and is hidden like one."""
    provider = Provider(
        "acme", "Acme", fields=(ConfigField("token", "Token", secret=True), ConfigField("region", "Region"))
    )
    shown = provider.shown({"token": "tok_123", "region": "europe", "older_token": "tok_456"})
    assert shown == {"token": "tok_****", "region": "europe", "older_token": "tok_****"}
    assert provider.shown({"region": {"deep": "secret"}}) == {"region": "{'de****"}
