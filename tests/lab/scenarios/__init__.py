"""What is done to a server while a statement of it is struck."""

from tests.lab.scenarios import maintenance, notifications, runs, schedules, servers
from tests.lab.scenarios.registry import SCENARIOS, Scenario

__all__ = ["SCENARIOS", "Scenario", "maintenance", "notifications", "runs", "schedules", "servers"]
