"""The description of the API is made from the same table as the API, and is a sound OpenAPI 3.1 document."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from owlrunner.job_type import Scope
from owlrunner.web.openapi import openapi_document
from owlrunner.web.route import Auth
from owlrunner.web.routes import ROUTES
from tests.web.web_world import CATALOG, World

DOCUMENT = openapi_document(ROUTES, CATALOG.of_scope(Scope.PROJECT), "token")


@pytest.fixture
def document() -> dict[str, Any]:
    return msgspec.json.decode(DOCUMENT, type=dict[str, Any])


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from parts(part)
    elif isinstance(value, list):
        for part in value:
            yield from parts(part)


def test_every_route_is_described(document: dict[str, Any]) -> None:
    """Each route stands in the document under its path and method with its answers, and nothing else does."""
    described = {
        (method.upper(), path): {status for status in operation["responses"] if status.startswith("2")}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    wanted = {(route.method, route.path): {str(status) for status in route.answers if status < 300} for route in ROUTES}
    assert described == wanted


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """References point at schemas that are there, and every schema is used."""
    references = {part["$ref"].removeprefix("#/components/schemas/") for part in parts(document) if "$ref" in part}
    assert references == set(document["components"]["schemas"])
    assert not [name for name in references if not re.fullmatch(r"[a-zA-Z0-9._-]+", name)]


def media_of(path: str, status: str) -> str:
    """What an answer is: JSON, except for the stream that a client was let into."""
    return "text/event-stream" if (path.endswith("/stream") and status == "200") else "application/json"


def test_the_document_has_the_parts_that_the_standard_asks_for(document: dict[str, Any]) -> None:
    """Version, title, unique operation ids, parameters that stand in their paths, described answers, known security."""
    operations = [(path, operation) for path, methods in document["paths"].items() for operation in methods.values()]
    assert document["openapi"] == "3.1.0"
    assert set(document["info"]) == {"title", "version", "description"}
    assert len({operation["operationId"] for _, operation in operations}) == len(operations) == len(ROUTES)
    for path, operation in operations:
        in_path = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        for parameter in operation["parameters"]:
            assert set(parameter) == {"name", "in", "required", "schema"}
            assert parameter["required"] is (parameter["in"] == "path")
        for status, response in operation["responses"].items():
            assert response["description"]
            assert set(response["content"]) == {media_of(path, status)}
    schemes = set(document["components"]["securitySchemes"])
    named = {name for _, operation in operations for one in operation.get("security", []) for name in one}
    assert named == schemes


def test_security_is_stated_where_a_credential_is_needed(document: dict[str, Any]) -> None:
    """A route asks for a credential in the document exactly if it asks for one in the table."""
    for route in ROUTES:
        operation = document["paths"][route.path][route.method.lower()]
        assert ("security" in operation) is (route.auth is not Auth.NONE)
        assert ("401" in operation["responses"]) is (route.auth is not Auth.NONE or 401 in route.answers)


def test_params_of_job_types_are_described(document: dict[str, Any]) -> None:
    """The trigger's body names each job type that a team can trigger with the schema of its params."""
    schema = document["paths"]["/v1/teams/{teamId}/jobs/trigger"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    body, choice = schema["allOf"]
    assert body == {"$ref": "#/components/schemas/TriggerBody"}
    assert [one["properties"]["job_type"]["const"] for one in choice["anyOf"]] == ["acme_sync", "crowd", "steady"]
    params = document["components"]["schemas"]["acme_sync.params"]
    assert params["properties"]["pages"] == {"type": "integer", "default": 1}
    assert params["additionalProperties"] is False


def test_query_parameters_have_types(document: dict[str, Any]) -> None:
    """A query parameter is described by what it may be, without null."""
    parameters = {
        one["name"]: one["schema"]
        for one in document["paths"]["/v1/teams/{teamId}/jobs"]["get"]["parameters"]
        if one["in"] == "query"
    }
    assert list(parameters) == ["job_type", "status", "project_id", "since", "until", "cursor", "limit"]
    assert parameters["status"] == {"$ref": "#/components/schemas/RunStatus"}
    assert parameters["project_id"] == {"type": "string", "format": "uuid"}
    assert parameters["limit"]["type"] == "integer"


async def test_the_document_is_served_to_anybody(client: httpx.AsyncClient) -> None:
    """Nobody needs a credential to read the description."""
    response = await client.get("/openapi.json")
    assert (response.status_code, response.content) == (200, DOCUMENT)


async def test_answers_have_the_described_fields(
    world: World, as_key: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    """A run on the wire has exactly the described fields in the described order."""
    run = (await as_key.get(f"/v1/jobs/{await world.run_row()}")).json()["job_run"]
    described = document["components"]["schemas"]["JobRunBody"]
    assert list(run) == list(described["properties"]) == described["required"]
