//! Calls of functions with types of their own, by reflection: JSON to values by the types of the parameters, and the result to JSON.
//!
//! | type | JSON |
//! |---|---|
//! | `bool`, integers, `string` | boolean, number, string |
//! | `f32`, `f64` | number, or `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | `char`, `enum` | string |
//! | `list`, `tuple` | list |
//! | `record` | object; a field of an option type may be missing |
//! | `variant` | the name of the case, or an object with that name and the payload |
//! | `flags` | list of names |
//! | `option` | null or the value; as the value of another option `{"some": VALUE}` or null |
//! | `result` | `{"ok": VALUE}` or `{"err": VALUE}`, with null for no value |
//!
//! `from_json` and `to_json` convert, `signature` shows types, `wave` is the other notation.

mod from_json;
mod misfit;
mod signature;
mod to_json;
mod wave;

pub(super) use from_json::arguments;
pub(crate) use misfit::Misfit;
pub(super) use signature::signature;
pub(super) use to_json::{TooLong, returned};
pub(super) use wave::{arguments_in_wave, result_in_wave};

use wasmtime::component::Type;
use wasmtime::component::types::ComponentFunc;

/// Checks that a function takes and returns only what JSON can hold.
///
/// # Errors
/// What it takes or returns instead.
pub(super) fn check_callable(function: &ComponentFunc) -> Result<(), &'static str> {
    let params = function.params().map(|(_, ty)| ty);
    params.chain(function.results()).try_for_each(|ty| check_type(&ty))
}

fn check_type(ty: &Type) -> Result<(), &'static str> {
    match ty {
        Type::Own(_) | Type::Borrow(_) => Err("a resource"),
        Type::Future(_) => Err("a future"),
        Type::Stream(_) => Err("a stream"),
        Type::ErrorContext => Err("an error context"),
        Type::Map(_) => Err("a map"),
        Type::List(list) => check_type(&list.ty()),
        Type::FixedLengthList(list) => check_type(&list.ty()),
        Type::Option(option) => check_type(&option.ty()),
        Type::Tuple(tuple) => tuple.types().try_for_each(|ty| check_type(&ty)),
        Type::Record(record) => record.fields().try_for_each(|field| check_type(&field.ty)),
        Type::Variant(variant) => variant.cases().filter_map(|case| case.ty).try_for_each(|ty| check_type(&ty)),
        Type::Result(result) => result.ok().into_iter().chain(result.err()).try_for_each(|ty| check_type(&ty)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
