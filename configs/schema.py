"""The JSON Schema of a configuration file, from the same models that check it: editors complete and explain by it."""

import json
from pathlib import Path

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from configs.serve_file import OTHER_IMPORT_PATH, ServeFile

SCHEMA_FILE = Path(__file__).with_name("schema.json")


def schema_text() -> str:
    """What schema.json must hold."""
    schema = ServeFile.model_json_schema(schema_generator=_EditorSchema)
    document = {"$schema": GenerateJsonSchema.schema_dialect, **schema}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


class _EditorSchema(GenerateJsonSchema):
    """Turns each choice between models into if/then, so that an editor explains the chosen one, not all of them."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 (pydantic's signature)
        return False  # a title would repeat the key

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        json_schema = super().default_schema(schema)
        # null stands for "not set" and often is not what one may write; blocks show their defaults within
        if json_schema.get("default") is None or isinstance(json_schema["default"], dict):
            json_schema.pop("default", None)
        return json_schema

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        discriminator = schema["discriminator"]
        key = discriminator if isinstance(discriminator, str) else "import_path"
        choices = {tag: self.generate_inner(choice) for tag, choice in schema["choices"].items()}
        otherwise: JsonSchemaValue = choices.pop(OTHER_IMPORT_PATH, {})
        tags: JsonSchemaValue = {"examples": list(choices)} if otherwise else {"enum": list(choices)}
        for tag, choice in reversed(choices.items()):
            is_chosen = {"properties": {key: {"const": tag}}, "required": [key]}
            otherwise = {"if": is_chosen, "then": choice, "else": otherwise}
        return {"type": "object", "properties": {key: {"type": "string", **tags}}, "required": [key], **otherwise}
