//! The JSON Schemas of values: each allows a protected value in its place.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{INDEXED_BYTES_MAX, IndexedText, Json, Object, PROTECTED, Text, TextList};

/// Ciphertext in place of a value.
struct Protected;

impl JsonSchema for Protected {
    fn schema_name() -> Cow<'static, str> {
        "Protected".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Ciphertext made by the emitter; `kid` names the key of a data subject.",
            "type": "object",
            "properties": { PROTECTED: { "type": "object", "properties": {
                "v": { "type": "integer" },
                "alg": { "type": "string" },
                "kid": { "type": "string" },
                "ct": { "type": "string" },
            } } },
            "required": [PROTECTED],
            "additionalProperties": false,
        })
    }
}

macro_rules! schemas {
    ($($name:ident = $schema:expr;)+) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let schema: fn(&mut SchemaGenerator) -> Schema = $schema;
                schema(generator)
            }
        }
    )+};
}

schemas! {
    Text = |generator| json_schema!({
        "anyOf": [{ "type": "string" }, generator.subschema_for::<Protected>()],
    });
    // JSON Schema counts characters, the limit counts bytes: this is what no text may exceed.
    IndexedText = |generator| json_schema!({
        "anyOf": [{ "type": "string", "maxLength": INDEXED_BYTES_MAX }, generator.subschema_for::<Protected>()],
    });
    TextList = |generator| json_schema!({
        "anyOf": [
            { "type": "array", "items": generator.subschema_for::<Text>() },
            generator.subschema_for::<Protected>(),
        ],
    });
    Object = |_| json_schema!({ "type": "object" });
    Json = |_| json_schema!(true);
}
