//! The JSON Schema of policy files.

use crate::section::File;

/// The JSON Schema (draft 2020-12) of a policy file, as TOML or as JSON, derived from the types that read it.
///
/// It knows keys and types. What it cannot know, such as whether a URL is a pattern or two rules have one id, loading checks.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}
