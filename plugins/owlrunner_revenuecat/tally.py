"""This is the room for the counters of one sync: what they count, and how they read as progress and as result."""

from collections import Counter

import attrs

NAMED_AT_MOST = 10
"""How many users a result names of each kind."""


@attrs.define
class Named:
    """A count of users, the first few of whom are remembered by id."""

    count: int = 0
    first: list[str] = attrs.field(factory=list)

    def add(self, user_id: str) -> None:
        """Count one user."""
        self.count += 1
        if self.count <= NAMED_AT_MOST:
            self.first.append(user_id)

    def listed(self) -> list[str]:
        """The remembered ids, and a last line that counts the others."""
        more = self.count - len(self.first)
        return [*self.first, f"...and {more} more"] if more else list(self.first)


@attrs.define
class Tally:
    """What happened to whom so far. "Active" is who was given ``rc_subscriber = "true"``."""

    total: int
    skipped_anonymous: int = 0
    active: int = 0
    inactive: int = 0
    not_found: Named = attrs.field(factory=Named)
    errors: Named = attrs.field(factory=Named)
    error_codes: Counter[str] = attrs.field(factory=Counter)
    revenue_filled: int = 0
    revenue_skipped: int = 0
    attribution_synced: int = 0
    attribution_enriched_existing: int = 0
    attribution_marked_organic: int = 0
    attribution_skipped_no_asa: int = 0

    @property
    def synced(self) -> int:
        """Users whom RevenueCat knows, and whose properties were written."""
        return self.active + self.inactive

    @property
    def handled(self) -> int:
        """Users who are done with, in whichever way."""
        return self.synced + self.not_found.count + self.errors.count

    def count_synced(self, *, active: bool, has_revenue: bool, other_network: bool) -> None:
        """Count a user whom RevenueCat knows."""
        if active:
            self.active += 1
        else:
            self.inactive += 1
        if has_revenue:
            self.revenue_filled += 1
        else:
            self.revenue_skipped += 1
        self.attribution_skipped_no_asa += other_network

    def count_error(self, user_id: str, code: str) -> None:
        """Count a user about whom RevenueCat could not be asked."""
        self.errors.add(user_id)
        self.error_codes[code] += 1

    def count_filled(self, filled: dict[str, str]) -> None:
        """Count what attribution a user was given: an origin, ``none``, or details of an origin that was known."""
        source = filled.get("attribution_source")
        if source == "none":
            self.attribution_marked_organic += 1
        elif source is not None:
            self.attribution_synced += 1
        elif filled:
            self.attribution_enriched_existing += 1

    def message(self) -> str:
        """The line for people."""
        synced = f"{self.synced} ({self.active} active, {self.inactive} inactive)"
        return f"Synced {synced}, {self.not_found.count} not found, {self.errors.count} errors"

    def result(self, *, cancelled: bool = False) -> dict[str, object]:
        """The run's result, all counts.

        ``not_found_users``, ``error_users`` (ids) and ``error_status_counts`` are there only when there were any, and
        ``cancelled_at``, the number of users handled, only when the run was cancelled.
        """
        result: dict[str, object] = {
            "total": self.total,
            "synced": self.synced,
            "skipped": self.not_found.count + self.errors.count,
            "skipped_anonymous": self.skipped_anonymous,
            "active": self.active,
            "inactive": self.inactive,
            "not_found": self.not_found.count,
            "errors": self.errors.count,
            "attribution_synced": self.attribution_synced,
            "attribution_enriched_existing": self.attribution_enriched_existing,
            "attribution_marked_organic": self.attribution_marked_organic,
            "attribution_skipped_no_asa": self.attribution_skipped_no_asa,
            "revenue_filled": self.revenue_filled,
            "revenue_skipped": self.revenue_skipped,
        }
        if self.not_found.count:
            result["not_found_users"] = self.not_found.listed()
        if self.errors.count:
            result["error_users"] = self.errors.listed()
            result["error_status_counts"] = dict(self.error_codes)
        if cancelled:
            result["cancelled_at"] = self.handled
        return result
