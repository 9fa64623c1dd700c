"""What the plugin hands over, and which settings it refuses."""

from typing import Any
from uuid import uuid4

import pytest

import owlrunner_revenuecat
from owlrunner.errors import ConfigError, InvalidParams, PluginError
from owlrunner.job_type import AnyJobType, Scope
from owlrunner.plugins import build_catalog
from owlrunner_revenuecat import SyncParams


def offered(**table: Any) -> AnyJobType:
    """The job type, as the server gets it."""
    catalog = build_catalog({"revenuecat": ("here", owlrunner_revenuecat, table)})
    return catalog.job_types["revenuecat_sync"]


def test_the_job_type_is_offered() -> None:
    """The plugin offers revenuecat_sync for projects, with optional params and time to save what it has on a cancel."""
    job_type = offered()
    assert (job_type.name, job_type.label, job_type.scope) == ("revenuecat_sync", "RevenueCat Sync", Scope.PROJECT)
    assert job_type.description.startswith("Copy subscription, revenue and attribution")
    assert (job_type.params_type, job_type.exclusive, job_type.retry.max_attempts) == (SyncParams, True, 1)
    assert job_type.decode_params(None) == (SyncParams(),)
    assert job_type.cancel_grace == 10


def test_its_integration_is_known() -> None:
    """The plugin's provider is known, and another one is refused with the names of those that are."""
    catalog = build_catalog({"revenuecat": ("here", owlrunner_revenuecat, {})})
    catalog.require_provider("revenuecat")
    with pytest.raises(ConfigError, match="no plugin uses 'other'; there are: revenuecat"):
        catalog.require_provider("other")


def test_params_of_the_original_are_taken() -> None:
    """The params that OwlMetry's clients send are decoded; ids that are none, and other keys, are refused."""
    one, other = uuid4(), uuid4()
    raw = {"project_id": str(one), "integration_id": str(other)}
    assert offered().decode_params(raw) == (SyncParams(one, other),)
    for bad in ({"project_id": "x"}, {"user_id": "x"}):
        with pytest.raises(InvalidParams):
            offered().decode_params(bad)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"api_url": "api.revenuecat.com"}, "api_url must be an http or https address"),
        ({"api_url": "https://x.example/v2?key=1"}, "api_url must be an http or https address without a query"),
        ({"environment": "testing"}, "environment"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 65}, "concurrency"),
        ({"customer_requests_per_minute": 0}, "customer_requests_per_minute"),
        ({"configuration_requests_per_minute": -1}, "configuration_requests_per_minute"),
        ({"timeout": 0}, "timeout must be a finite number of seconds above 0"),
        ({"retry_delay": -1}, "retry_delay must be a finite number of seconds above 0"),
        ({"max_tries": 0}, "max_tries"),
        ({"max_tries": "many"}, "max_tries: expected int"),
        ({"api_key": "sk_x"}, "api_key: unknown key"),
    ],
)
def test_settings_that_cannot_be_used_stop_the_start(table: dict[str, Any], complaint: str) -> None:
    """A setting out of range, of the wrong type or unknown is refused, naming table and key."""
    with pytest.raises(PluginError, match=f"plugins.revenuecat.*{complaint}"):
        offered(**table)


def test_settings_may_come_from_the_environment() -> None:
    """Numbers written as text, as the environment has them, are numbers."""
    assert offered(concurrency="4", timeout="2.5", api_url="http://127.0.0.1:1/v2/").name == "revenuecat_sync"
