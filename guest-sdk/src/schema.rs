//! The JSON Schema of the values that a promise takes.
//!
//! It is the same in every run: `schemars` keeps definitions, and `serde_json` keeps keys, in ordered maps, none of them hashed.

use schemars::{JsonSchema, SchemaGenerator};

/// Keywords that describe a value without restricting it.
const ANNOTATIONS: [&str; 10] = [
    "$schema",
    "$comment",
    "$defs",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// The schema of `T` in draft 2020-12; `None` if it admits every value, as that of `serde_json::Value` does.
pub(crate) fn of<T: JsonSchema>() -> Option<String> {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
    let restricts = |keyword: &String| !ANNOTATIONS.contains(&keyword.as_str());
    schema.as_object()?.keys().any(restricts).then(|| schema.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash_keys;
    use serde_json::{Value, json};

    /// An order.
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema counts")]
    struct Order {
        item: String,
        count: u8,
        parts: Vec<Part>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema counts")]
    struct Part {
        weight: Option<f64>,
        parts: Vec<Part>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema counts")]
    struct Anything(Value);

    fn parsed<T: JsonSchema>() -> Value {
        serde_json::from_str(&of::<T>().unwrap()).unwrap()
    }

    #[test]
    fn a_struct_is_described_in_draft_2020_12() {
        let order = parsed::<Order>();
        assert_eq!(order["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!((&order["title"], &order["description"]), (&json!("Order"), &json!("An order.")));
        assert_eq!(order["required"], json!(["item", "count", "parts"]));
        assert_eq!(order["properties"]["count"]["maximum"], 255);
        assert_eq!(order["$defs"]["Part"]["required"], json!(["parts"]));
    }

    #[test]
    fn plain_types_are_described() {
        assert_eq!(parsed::<bool>()["type"], "boolean");
        assert_eq!(parsed::<()>()["type"], "null");
        assert_eq!(parsed::<Option<String>>()["type"], json!(["string", "null"]));
        assert_eq!(parsed::<crate::Timestamp>()["type"], "integer");
        assert_eq!(parsed::<crate::Uuid>()["format"], "uuid");
        assert_eq!(parsed::<crate::Error>()["required"], json!(["code", "message"]));
    }

    #[test]
    fn what_takes_anything_has_no_schema() {
        assert_eq!(of::<Value>(), None);
        assert_eq!(of::<Anything>(), None);
    }

    #[test]
    fn a_schema_is_always_the_same_and_makes_no_hash_map() {
        let (first, maps) = hash_keys::counted(of::<Order>);
        assert_eq!((first, maps), (of::<Order>(), 0));
    }
}
