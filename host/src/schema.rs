//! JSON Schemas that a guest attaches to a promise: what an operator answers must fit.
//!
//! The schema is untrusted, and some would make `jsonschema` alone run out of stack, memory or time. So `outline` copies only
//! the keywords it knows into a new schema, `work` refuses a schema that applies too much to one value, and simulates every
//! check on a budget before the crate may do it; `explain` describes what does not fit. Draft 2020-12, without `$dynamicRef` and
//! references to other documents. Of `format` it knows those in `form`: how the types of a guest are written.
//!
//! Read `outline.rs`, `form.rs`, `work.rs`, then `explain.rs`.

mod explain;
mod form;
mod outline;
#[cfg(test)]
mod tests;
mod work;

use crate::json;
use explain::capped;
use jsonschema::{Draft, PatternOptions, ValidationOptions, Validator};
use outline::Shape;
use std::panic::{AssertUnwindSafe, catch_unwind};
use work::Work;

/// A schema that is safe to check values against.
#[derive(Debug)]
pub(crate) struct Schema {
    validator: Validator,
    /// The schemas that each schema applies, for the budget; the first one is the root.
    shapes: Vec<Shape>,
}

/// The longest schema, in bytes.
const MAX_SCHEMA: usize = 64 << 10;

/// The longest value, in bytes.
const MAX_VALUE: usize = 8 << 20;

impl Schema {
    /// Reads a schema: at most 64 KiB, nested at most 128 deep.
    ///
    /// # Errors
    /// Describes in plain words the error, and where it is.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        if json.len() > MAX_SCHEMA {
            return Err(format!("the schema has {} bytes; at most {MAX_SCHEMA} are allowed", json.len()));
        }
        let value = json::value(json).map_err(|error| capped(format_args!("the schema is {error}")))?;
        let read = survive(|| {
            let (shapes, copy) = outline::read(&value)?;
            work::check_schema(&shapes)?;
            let validator = options(outline::MAX_PATTERN).build(&copy).map_err(|error| explain::misfit(&error))?;
            Ok(Self { validator, shapes })
        });
        read.map_err(|reason| capped(format_args!("the schema cannot be used: {reason}")))
    }

    /// Checks a value against the schema.
    ///
    /// # Errors
    /// Describes where the value does not fit, what is there, and what should be, in at most about 500 characters; text of the guest is
    /// not escaped.
    pub(crate) fn check(&self, value_json: &str) -> Result<(), String> {
        if value_json.len() > MAX_VALUE {
            return Err(format!("the value has {} bytes; at most {MAX_VALUE} are allowed", value_json.len()));
        }
        let value = json::value(value_json).map_err(|error| capped(format_args!("the value is {error}")))?;
        Work::to_check(&self.shapes).run(&value)?;
        survive(|| {
            if self.validator.is_valid(&value) {
                return Ok(());
            }
            if Work::to_explain(&self.shapes).run(&value).is_err() {
                return Err("the value does not fit the schema, and is too large to say where".to_owned());
            }
            self.validator.validate(&value).map_err(|error| explain::misfit(&error))
        })
    }
}

/// The options for the crate: nothing is ever fetched, and patterns match in time linear in the text.
fn options(pattern_size: usize) -> ValidationOptions<'static> {
    let patterns = PatternOptions::regex().size_limit(pattern_size).dfa_size_limit(64 << 10);
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .with_pattern_options(patterns)
        .with_keyword(form::KEYWORD, form::keyword)
}

/// Turns a panic of the crate into an error: the crate is large, and its input comes from a guest.
fn survive<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("the validator failed on it".to_owned()))
}
