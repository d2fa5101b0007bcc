"""What the OpenAPI document says beyond what Litestar finds by itself."""

from typing import Any

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from ams_contracts.fold import Stamp
from ams_kit.http.problems import Problem

_DESCRIPTIONS = {
    400: "The request cannot be read: an id, a parameter, a cursor or the query (with its column).",
    401: "Sign in first.",
    403: "A credential that does not open this.",
    404: "Not there, or not yours.",
    503: "A part that this needs is away, or too many searches run. Retry (Retry-After).",
    504: "The query took too long. Narrow it.",
}

PROBLEMS: dict[int, ResponseSpec] = {
    status: ResponseSpec(Problem, generate_examples=False, description=text, media_type="application/problem+json")  # type: ignore[arg-type]  # any media type is fine
    for status, text in _DESCRIPTIONS.items()
}
"""The answers that every route of a project may give instead of its own."""


class StampAsArray(OpenAPISchemaPlugin):
    """A stamp is an array on the wire: ``[phase, at_us, seq, event_id]``. Litestar takes it for an object."""

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
