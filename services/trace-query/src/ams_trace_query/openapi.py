"""Additions to the OpenAPI document that Litestar generates."""

from typing import Any

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from ams_contracts.fold import Stamp
from ams_kit.http.problems import Problem

_DESCRIPTIONS = {
    400: "The request is not valid: an id, a parameter, a cursor or the query (with its column).",
    401: "The credential is missing or not valid.",
    403: "The credential does not grant access to this.",
    404: "The resource does not exist, or belongs to another project.",
    503: "A required server is unavailable, or too many searches are running. Retry after Retry-After.",
    504: "The query took too long. Narrow the time range or the query.",
}
_DESCRIPTIONS_OF_BODIES = {
    408: "The body did not arrive in time.",
    409: "The name is taken, or the project has no room for another one.",
    413: "The body is too large.",
    415: "The body is not uncompressed JSON.",
    422: "The body does not have the expected fields, or a value is not acceptable.",
}


def _described(descriptions: dict[int, str]) -> dict[int, ResponseSpec]:
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=text, media_type="application/problem+json")  # type: ignore[arg-type]  # any media type is fine
        for status, text in descriptions.items()
    }


PROBLEMS = _described(_DESCRIPTIONS)
"""The error responses of every route of a project."""

PROBLEMS_WITH_BODY = PROBLEMS | _described(_DESCRIPTIONS_OF_BODIES)
"""The error responses of a route of a project that takes a body."""


class StampAsArray(OpenAPISchemaPlugin):
    """Describes a stamp as the array that it is in JSON, ``[phase, at_us, seq, event_id]``. Litestar would describe it as an object."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        return value is Stamp

    @staticmethod
    def is_undefined_sentinel(value: Any) -> bool:  # noqa: ARG004  the base class gives the signature
        return False

    @staticmethod
    def is_constrained_field(field_definition: FieldDefinition) -> bool:  # noqa: ARG004  the base class gives the signature
        return False

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:  # noqa: ARG002  the base class gives the signature
        integer = Schema(type=OpenAPIType.INTEGER)
        return Schema(
            type=OpenAPIType.ARRAY,
            description="[phase, at_us, seq, event_id]",
            prefix_items=[integer, integer, integer, Schema(type=OpenAPIType.STRING)],
            min_items=4,
            max_items=4,
        )
