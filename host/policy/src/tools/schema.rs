//! The JSON Schema of policy files.

use crate::section::File;

/// The JSON Schema (draft 2020-12) of a policy file, as TOML or as JSON, derived from the types that read it.
///
/// It describes keys and types. Other requirements, such as valid URL patterns and unique ids, are checked when a policy is
/// loaded.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}
