//! The functions that `#[everstep_sdk::function]` registers, and the way from JSON arguments to a JSON result.

use std::pin::Pin;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Context, Error};

/// A running function: its result as JSON.
pub type Task = Pin<Box<dyn Future<Output = Result<String, Error>>>>;

/// One durable function of this component.
pub struct Function {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    place: &'static str,
    pub(crate) start: fn(String) -> Task,
}

impl Function {
    /// Only the macro calls this. `place` is `file:line`, to distinguish two functions of one name.
    pub const fn new(
        name: &'static str,
        description: &'static str,
        place: &'static str,
        start: fn(String) -> Task,
    ) -> Self {
        Self { name, description, place, start }
    }
}

inventory::collect!(Function);

/// The arguments of a function that takes none: `null` or `{}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoArguments {}

/// All functions, ordered by name and place: the order of registration is the linker's.
pub(crate) fn all() -> Vec<&'static Function> {
    sorted(inventory::iter::<Function>.into_iter())
}

fn sorted<'a>(functions: impl Iterator<Item = &'a Function>) -> Vec<&'a Function> {
    let mut functions: Vec<_> = functions.collect();
    functions.sort_by_key(|function| (function.name, function.place));
    functions
}

pub(crate) fn find(name: &str) -> Result<&'static Function, Error> {
    select(inventory::iter::<Function>.into_iter(), name)
}

fn select<'a>(functions: impl Iterator<Item = &'a Function> + Clone, name: &str) -> Result<&'a Function, Error> {
    let named = functions.clone().filter(|function| function.name == name);
    let mut first = named.clone();
    match (first.next(), first.next()) {
        (Some(function), None) => Ok(function),
        (None, _) => Err(Error::new(crate::ErrorCode::NotFound, unknown(&sorted(functions), name))),
        (Some(_), Some(_)) => {
            let places: Vec<_> = sorted(named).into_iter().take(2).map(|function| function.place).collect();
            let places = places.join(" and ");
            Err(Error::invalid(format!("the component has two functions `{name}`: {places}; rename one")))
        }
    }
}

fn unknown(functions: &[&Function], name: &str) -> String {
    let names: Vec<_> = functions.iter().map(|function| format!("`{}`", function.name)).collect();
    match names.is_empty() {
        true => format!("no function `{name}`: the component has none (is #[everstep_sdk::function] missing?)"),
        false => format!("no function `{name}`: the component has {}", names.join(", ")),
    }
}

/// Runs `function` on JSON arguments.
pub fn task<T, R, E, F>(name: &'static str, args: String, function: impl FnOnce(Context, T) -> F + 'static) -> Task
where
    T: DeserializeOwned + 'static,
    R: Serialize,
    E: Serialize,
    F: Future<Output = Result<R, E>> + 'static,
{
    Box::pin(async move {
        let arguments = arguments(name, &args)?;
        drop(args);
        let result = function(Context::new(), arguments).await.map_err(|error| Error::of(&error))?;
        serde_json::to_string(&result)
            .map_err(|cause| Error::failed(format!("the result of function `{name}` is not JSON: {cause}")))
    })
}

/// Arguments that were left out arrive as `null`; a type that does not accept `null` but `{}` gets that.
fn arguments<T: DeserializeOwned>(name: &str, args: &str) -> Result<T, Error> {
    let parsed = match serde_json::from_str(args) {
        Err(_) if args.trim() == "null" => serde_json::from_str("{}"),
        parsed => parsed,
    };
    parsed.map_err(|cause| Error::invalid(format!("arguments of function `{name}`: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    fn function(name: &'static str, place: &'static str) -> Function {
        Function::new(name, "", place, |args| {
            task("f", args, |_, n: u64| async move { if n > 9 { Err("too big") } else { Ok([n]) } })
        })
    }

    fn run(args: &str) -> Result<String, Error> {
        futures::FutureExt::now_or_never((function("f", "").start)(args.into())).unwrap()
    }

    #[test]
    fn json_goes_in_and_comes_out() {
        assert_eq!(run("3").unwrap(), "[3]");
        assert_eq!(run("10").unwrap_err(), Error::failed("too big"));
    }

    #[test]
    fn arguments_of_another_shape_name_the_function() {
        let error = run(r#""x""#).unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
        assert!(error.message.starts_with("arguments of function `f`: invalid type: string"), "{error}");
    }

    #[test]
    fn arguments_left_out_are_an_empty_object() {
        #[derive(Deserialize)]
        struct Defaults {
            #[serde(default)]
            n: u64,
        }
        assert_eq!(arguments::<Defaults>("f", "null").unwrap().n, 0);
        assert_eq!(arguments::<Option<u64>>("f", "null").unwrap(), None);
        assert!(arguments::<NoArguments>("f", "null").is_ok());
        assert!(arguments::<NoArguments>("f", r#"{"a":1}"#).is_err());
    }

    fn chosen<'a>(functions: &[&'a Function], name: &str) -> Result<&'a Function, Error> {
        select(functions.iter().copied(), name)
    }

    #[test]
    fn a_name_must_stand_for_one_function() {
        let (a, b, c) = (function("a", "a.rs:1"), function("b", "b.rs:1"), function("b", "c.rs:2"));
        let all = [&c, &b, &a];
        assert_eq!(chosen(&all, "a").map(|f| f.place), Ok("a.rs:1"));
        assert_eq!(
            chosen(&all, "b").err().unwrap().message,
            "the component has two functions `b`: b.rs:1 and c.rs:2; rename one"
        );
        assert_eq!(chosen(&all[1..], "z").err().unwrap().message, "no function `z`: the component has `a`, `b`");
        assert_eq!(chosen(&[], "z").err().unwrap().code, ErrorCode::NotFound);
    }
}
