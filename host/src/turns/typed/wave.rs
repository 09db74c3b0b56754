//! Arguments and results in WAVE, the WebAssembly Value Encoding; executions hold them as JSON.

use super::misfit::Misfit;
use super::{from_json, to_json};
use crate::json;
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::wasm_wave::untyped::UntypedFuncCall;
use wasmtime::component::{Type, Val, wasm_wave};

/// The arguments `(1, "two")` as a JSON list.
///
/// # Errors
/// They are not WAVE, or do not fit.
pub(in crate::turns) fn arguments_in_wave(function: &ComponentFunc, text: &str) -> Result<String, Misfit> {
    let misfit = |problem: String| Misfit::new("args", problem);
    // The parser descends into what is nested.
    json::check_depth(text).map_err(|error| misfit(error.to_string()))?;
    let text = text.trim();
    if !text.starts_with('(') {
        return Err(misfit("expected WAVE in parentheses, such as (1, \"two\")".to_owned()));
    }
    let call = format!("f{text}");
    let types: Vec<_> = function.params().map(|(_, ty)| ty).collect();
    let parsed = UntypedFuncCall::parse(&call).and_then(|call| call.to_wasm_params::<Val>(&types));
    let values = parsed.map_err(|error| misfit(error.to_string()))?;
    to_json::list(types.into_iter().zip(&values)).map_err(|to_json::TooLong| misfit("too long".to_owned()))
}

/// The JSON result of a function in WAVE.
///
/// # Errors
/// It is not a result of this function.
pub(in crate::turns) fn result_in_wave(function: &ComponentFunc, json: &str) -> Result<String, Misfit> {
    let (mut path, found) = ("result".to_owned(), json::value(json));
    let found = found.map_err(|error| Misfit::new("result", error.to_string()))?;
    let value = match function.results().next() {
        None => return Ok("()".to_owned()),
        Some(Type::Result(ty)) => Val::Result(Ok(from_json::payload(ty.ok().as_ref(), found, "ok", &mut path)?)),
        Some(ty) => from_json::value(&ty, found, &mut path)?,
    };
    wasm_wave::to_string(&value).map_err(|error| Misfit::new("result", error.to_string()))
}
