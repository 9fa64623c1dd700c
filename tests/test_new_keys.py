"""API keys that users make: what is stored of them, and in whose name."""

from typing import Any
from uuid import uuid4

import pytest

from owlrunner.accounts.credentials import hashed
from owlrunner.accounts.new_keys import KeyRequest, create_key
from owlrunner.accounts.origin import Origin
from owlrunner.storage import accounts
from owlrunner.storage.accounts import NewKey, Team, User
from tests.runtime.away import Away


async def test_a_key_is_made_in_its_users_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the key only its hash and its first letters are stored, with who made it and from where; the owner did not."""
    stored: list[NewKey] = []
    shown: Any = object()

    async def store(_: Any, new: NewKey) -> Any:
        stored.append(new)
        return shown

    monkeypatch.setattr(accounts, "create_key", store)
    now: Any = None
    user, team = User(uuid4(), "ada@acme.test", "Ada", now, now, ()), Team(uuid4(), "Acme", "acme")
    wanted = KeyRequest(" robot ", "agent", permissions=["jobs:read"], expires_in_days=7)
    raw, key = await create_key(Away(), user, team, wanted, Origin("192.0.2.7", user_agent="curl"))
    assert key is shown
    assert stored == [
        NewKey(
            key_hash=hashed(raw),
            key_prefix=stored[0].key_prefix,
            key_type="agent",
            team_id=team.id,
            name="robot",
            created_by=user.id,
            permissions=["jobs:read"],
            expires_in_days=7,
            by_operator=False,
            client="192.0.2.7",
            user_agent="curl",
        )
    ]
    assert raw.startswith(stored[0].key_prefix)
    assert len(stored[0].key_prefix) < len(raw) / 2
