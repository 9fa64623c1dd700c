"""What an alert says about one schedule whose fire times were missed."""

from datetime import UTC, datetime

import attrs


@attrs.frozen
class MissedFires:
    """Fire times of one schedule that no server decided in time, as they were found when servers were back."""

    schedule: str
    job_type: str
    missed: int
    """How many lead to no run."""
    late: int
    """How many lead to a run that starts late: what ``missed = "latest"`` and ``"all"`` make up for."""
    first: datetime
    last: datetime
    reasons: tuple[str, ...]
    """Why nobody decided them in time: one or more of the reasons that stand in the record of fires."""
    at_least: bool = False
    """More were missed than are counted: beyond the missed window only so many are put on record."""

    def __str__(self) -> str:
        """Return a sentence for each fact: how many, when, why."""
        number = self.missed + self.late
        times = f"{'at least ' if self.at_least else ''}{number} fire time{'' if number == 1 else 's'}"
        when = f"at {_minute(self.first)}" if number == 1 else f"from {_minute(self.first)} to {_minute(self.last)}"
        return f"{times} missed, {when}. {self._made_up_for}. Reason: {'; '.join(self.reasons)}."

    @property
    def _made_up_for(self) -> str:
        if not self.late:
            return "No run was started for them" if self.missed > 1 else "No run was started for it"
        if not self.missed:
            return "A late run was started for each" if self.late > 1 else "A late run was started for it"
        return f"Late runs were started for {self.late}, none for {self.missed}"


def _minute(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
