"""This is the room for describing the API: an OpenAPI 3.1 document, made from the routes and the job types."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from owlrunner.job_type import AnyJobType
from owlrunner.version import VERSION
from owlrunner.web.exchange import encode
from owlrunner.web.route import Auth, Route, all_answers
from owlrunner.web.streams import CONTENT_TYPE
from owlrunner.web.wire import JobTypeBody, JobTypeList

REF = "#/components/schemas/{name}"
JSON = "application/json"


def job_types_document(job_types: Iterable[AnyJobType]) -> bytes:
    """The answer of ``/v1/job-types``."""
    bodies = [JobTypeBody(one.name, one.label, one.description, one.scope, one.params_schema()) for one in job_types]
    return encode(JobTypeList(bodies))


def openapi_document(routes: Iterable[Route], job_types: Iterable[AnyJobType], cookie: str) -> bytes:
    """The whole description, as JSON; ``cookie`` is the name of the one that holds a token."""
    routes, job_types = list(routes), list(job_types)
    shapes: dict[type[Struct], None] = {}
    for route in routes:
        shapes |= dict.fromkeys(shape for several in all_answers(route).values() for shape in several)
        shapes |= dict.fromkeys(shape for shape in (route.query, route.body) if shape is not None)
    _, schemas = msgspec.json.schema_components(shapes, ref_template=REF)
    schemas = {name: schema for name, schema in schemas.items() if not name.endswith("Query")}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, job_types)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "OwlRunner", "version": VERSION, "description": "Background jobs: trigger, follow, cancel."},
        "paths": paths,
        "components": {
            "schemas": schemas | _params_schemas(job_types),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or the token of a sign-in"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": cookie},
            },
        },
    }
    return encode(document)


def _operation(route: Route, job_types: list[AnyJobType]) -> dict[str, Any]:
    """One method of one path."""
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {
            str(status): _response(status, shapes, CONTENT_TYPE if route.streams and status == 200 else JSON)
            for status, shapes in all_answers(route).items()
        },
    }
    if route.permissions:
        operation["description"] = f"An API key needs {' and '.join(route.permissions)}; a user, the role admin."
    if route.auth is not Auth.NONE:
        operation["security"] = [{"bearer": []}, {"cookie": []}]
    if route.body is not None:
        schema = _one_of([route.body])
        if route.name == "trigger_run" and job_types:
            schema = {"allOf": [schema, {"anyOf": [_trigger_of(job_type) for job_type in job_types]}]}
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = [segment[1:-1] for segment in route.path.split("/") if segment.startswith("{")]
    uuid = {"type": "string", "format": "uuid"}
    return [{"name": name, "in": "path", "required": True, "schema": uuid} for name in names]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    _, components = msgspec.json.schema_components([route.query], ref_template=REF)
    parameters = []
    for name, schema in components[route.query.__name__]["properties"].items():
        # A parameter that is left out is no null.
        choices = [choice for choice in schema.get("anyOf", [schema]) if choice.get("type") != "null"]
        parameters.append({"name": name, "in": "query", "required": False, "schema": choices[0]})
    return parameters


def _response(status: int, shapes: Iterable[type[Struct]], media: str) -> dict[str, Any]:
    shapes = list(shapes)
    description = " ".join(" ".join((shape.__doc__ or "").split()) for shape in shapes)
    response: dict[str, Any] = {"description": description, "content": {media: {"schema": _one_of(shapes)}}}
    if status in {429, 503}:
        response["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return response


def _one_of(shapes: list[type[Struct]]) -> dict[str, Any]:
    references = [{"$ref": REF.format(name=shape.__name__)} for shape in shapes]
    return references[0] if len(references) == 1 else {"anyOf": references}


def _trigger_of(job_type: AnyJobType) -> dict[str, Any]:
    """What the params must look like for one job type."""
    params = {"anyOf": [{"$ref": REF.format(name=_params_name(job_type))}, {"type": "null"}]}
    return {"title": job_type.label, "properties": {"job_type": {"const": job_type.name}, "params": params}}


def _params_name(job_type: AnyJobType) -> str:
    return f"{job_type.name}.params"


def _params_schemas(job_types: Iterable[AnyJobType]) -> dict[str, Any]:
    """The params of every job type. Their inner definitions move up, because references count from the document's root."""
    schemas: dict[str, Any] = {}
    for job_type in job_types:
        name = _params_name(job_type)
        inner = encode(job_type.params_schema()).replace(b'"#/$defs/', f'"{REF.format(name=name)}.'.encode())
        schema = msgspec.json.decode(inner, type=dict[str, Any])
        definitions = schema.pop("$defs", {})
        schemas |= {name: schema} | {f"{name}.{key}": part for key, part in definitions.items()}
    return schemas
