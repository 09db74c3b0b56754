//! JSON to values, by the types of a function's parameters.

use super::misfit::{Misfit, kind, one_of};
use crate::json;
use serde_json::{Map, Number, Value};
use wasmtime::component::types::{ComponentFunc, Variant};
use wasmtime::component::{Type, Val};

/// The arguments of a function: an object with its parameters by name, a list of them in their order, or null for none.
///
/// # Errors
/// They do not fit; says where.
pub(in crate::turns) fn arguments(function: &ComponentFunc, args: &str) -> Result<Vec<Val>, Misfit> {
    let mut path = "args".to_owned();
    let args = json::value(args).map_err(|error| Misfit::new(&path, error.to_string()))?;
    let params = function.params();
    match args {
        Value::Null if params.len() == 0 => Ok(Vec::new()),
        Value::Array(list) => in_order(list, params.map(|(_, ty)| ty), &mut path),
        Value::Object(object) => Ok(by_name(object, params, &mut path)?.into_iter().map(|(_, value)| value).collect()),
        other => {
            let names = one_of(params.map(|(name, _)| name));
            Err(Misfit::expected(&path, format_args!("an object or a list of parameters ({names})"), &other))
        }
    }
}

/// The value of a type.
pub(super) fn value(ty: &Type, found: Value, path: &mut String) -> Result<Val, Misfit> {
    Ok(match (ty, found) {
        (Type::Bool, Value::Bool(it)) => Val::Bool(it),
        (Type::S8, Value::Number(it)) => Val::S8(integer(ty, &it, path)?),
        (Type::U8, Value::Number(it)) => Val::U8(integer(ty, &it, path)?),
        (Type::S16, Value::Number(it)) => Val::S16(integer(ty, &it, path)?),
        (Type::U16, Value::Number(it)) => Val::U16(integer(ty, &it, path)?),
        (Type::S32, Value::Number(it)) => Val::S32(integer(ty, &it, path)?),
        (Type::U32, Value::Number(it)) => Val::U32(integer(ty, &it, path)?),
        (Type::S64, Value::Number(it)) => Val::S64(integer(ty, &it, path)?),
        (Type::U64, Value::Number(it)) => Val::U64(integer(ty, &it, path)?),
        (Type::Float32, found) => Val::Float32(float(ty, &found, path)?),
        (Type::Float64, found) => Val::Float64(float(ty, &found, path)?),
        (Type::Char, Value::String(it)) => Val::Char(character(&it, path)?),
        (Type::String, Value::String(it)) => Val::String(it),
        (Type::List(list), Value::Array(items)) => {
            let ty = list.ty();
            Val::List(in_order_of_any_length(items, &ty, path)?)
        }
        (Type::FixedLengthList(list), Value::Array(items)) => {
            let types = std::iter::repeat_n(list.ty(), usize::try_from(list.len()).unwrap_or(usize::MAX));
            Val::FixedLengthList(in_order(items, types, path)?)
        }
        (Type::Tuple(tuple), Value::Array(items)) => Val::Tuple(in_order(items, tuple.types(), path)?),
        (Type::Record(record), Value::Object(object)) => {
            Val::Record(by_name(object, record.fields().map(|field| (field.name, field.ty)), path)?)
        }
        (Type::Variant(variant), found) => case(variant, found, path)?,
        (Type::Enum(of), Value::String(name)) => match of.names().any(|known| known == name) {
            true => Val::Enum(name),
            false => return Err(Misfit::out_of_range(path, one_of(of.names()), quoted(&name))),
        },
        (Type::Flags(flags), Value::Array(names)) => {
            let names = names.into_iter().enumerate().map(|(index, name)| match name {
                Value::String(name) if flags.names().any(|known| known == name) => Ok(name),
                Value::String(name) => Err(Misfit::out_of_range(path, one_of(flags.names()), quoted(&name))),
                other => Err(Misfit::expected(&format!("{path}[{index}]"), "the name of a flag", &other)),
            });
            Val::Flags(names.collect::<Result<_, _>>()?)
        }
        (Type::Option(_), Value::Null) => Val::Option(None),
        (Type::Option(option), found) => {
            let ty = option.ty();
            let some = match &ty {
                Type::Option(_) => {
                    payload(Some(&ty), one(found, "some", "null or {\"some\": VALUE}", path)?, "some", path)?
                }
                _ => Some(Box::new(value(&ty, found, path)?)),
            };
            Val::Option(some)
        }
        (Type::Result(result), found) => {
            let (name, found) = single(found, "{\"ok\": VALUE} or {\"err\": VALUE}", path)?;
            match name.as_str() {
                "ok" => Val::Result(Ok(payload(result.ok().as_ref(), found, "ok", path)?)),
                "err" => Val::Result(Err(payload(result.err().as_ref(), found, "err", path)?)),
                other => return Err(Misfit::out_of_range(path, "ok or err", quoted(other))),
            }
        }
        (ty, found) => return Err(Misfit::expected(path, kind(ty), &found)),
    })
}

/// Values of given types, one after the other.
fn in_order(
    found: Vec<Value>,
    types: impl ExactSizeIterator<Item = Type>,
    path: &mut String,
) -> Result<Vec<Val>, Misfit> {
    if found.len() != types.len() {
        return Err(Misfit::new(path, format!("expected {} values, found {}", types.len(), found.len())));
    }
    let pairs = found.into_iter().zip(types).enumerate();
    pairs.map(|(index, (found, ty))| below(path, &format!("[{index}]"), |path| value(&ty, found, path))).collect()
}

fn in_order_of_any_length(found: Vec<Value>, ty: &Type, path: &mut String) -> Result<Vec<Val>, Misfit> {
    let items = found.into_iter().enumerate();
    items.map(|(index, found)| below(path, &format!("[{index}]"), |path| value(ty, found, path))).collect()
}

/// Values by their names; those of option types may be missing.
fn by_name<'n>(
    mut found: Map<String, Value>,
    types: impl ExactSizeIterator<Item = (&'n str, Type)>,
    path: &mut String,
) -> Result<Vec<(String, Val)>, Misfit> {
    let (mut values, mut known) = (Vec::with_capacity(types.len()), Vec::new());
    for (name, ty) in types {
        known.push(name);
        let value = below(path, &format!(".{name}"), |path| match (found.remove(name), &ty) {
            (Some(found), ty) => value(ty, found, path),
            (None, Type::Option(_)) => Ok(Val::Option(None)),
            (None, ty) => Err(Misfit::new(path, format!("expected {}, found nothing", kind(ty)))),
        })?;
        values.push((name.to_owned(), value));
    }
    match found.keys().next() {
        None => Ok(values),
        Some(name) => {
            let known = if known.is_empty() { "nothing".to_owned() } else { one_of(known.into_iter()) };
            Err(Misfit::new(&format!("{path}.{name}"), format!("there is no such name here, only {known}")))
        }
    }
}

/// The case of a variant: its name, or an object with its name and payload.
fn case(variant: &Variant, found: Value, path: &mut String) -> Result<Val, Misfit> {
    let names = || one_of(variant.cases().map(|case| case.name));
    let (name, found) = match found {
        Value::String(name) => (name, None),
        found => {
            let (name, found) = single(found, "the name of a case, or {CASE: VALUE}", path)?;
            (name, Some(found))
        }
    };
    let Some(ty) = variant.cases().find(|case| case.name == name).map(|case| case.ty) else {
        return Err(Misfit::out_of_range(path, names(), quoted(&name)));
    };
    let payload = match (ty, found) {
        (Some(ty), None) => {
            return Err(Misfit::new(path, format!("the case {name} needs a {}: {{\"{name}\": VALUE}}", kind(&ty))));
        }
        (ty, found) => payload(ty.as_ref(), found.unwrap_or(Value::Null), &name, path)?,
    };
    Ok(Val::Variant(name, payload))
}

/// What belongs to a case: a value, or null if the case has none.
pub(super) fn payload(
    ty: Option<&Type>,
    found: Value,
    name: &str,
    path: &mut String,
) -> Result<Option<Box<Val>>, Misfit> {
    below(path, &format!(".{name}"), |path| match (ty, found) {
        (Some(ty), found) => Ok(Some(Box::new(value(ty, found, path)?))),
        (None, Value::Null) => Ok(None),
        (None, found) => Err(Misfit::expected(path, "null, since the case has no value", &found)),
    })
}

/// The only entry of an object.
fn single(found: Value, expected: &str, path: &str) -> Result<(String, Value), Misfit> {
    match found {
        Value::Object(object) if object.len() == 1 => {
            object.into_iter().next().ok_or_else(|| Misfit::new(path, format!("expected {expected}")))
        }
        Value::Object(object) => Err(Misfit::new(path, format!("expected {expected}, found {} names", object.len()))),
        found => Err(Misfit::expected(path, expected, &found)),
    }
}

/// The value of the only entry of an object, which has that name.
fn one(found: Value, name: &str, expected: &str, path: &str) -> Result<Value, Misfit> {
    let (found, value) = single(found, expected, path)?;
    if found == name { Ok(value) } else { Err(Misfit::out_of_range(path, expected, quoted(&found))) }
}

fn integer<T: TryFrom<u64> + TryFrom<i64>>(ty: &Type, found: &Number, path: &str) -> Result<T, Misfit> {
    let whole = match (found.as_u64(), found.as_i64()) {
        (Some(it), _) => T::try_from(it).ok(),
        (None, Some(it)) => T::try_from(it).ok(),
        (None, None) => None,
    };
    whole.ok_or_else(|| Misfit::out_of_range(path, kind(ty), found))
}

/// A float from its shortest text, so that an `f32` is rounded once.
fn float<T: std::str::FromStr + IsFinite>(ty: &Type, found: &Value, path: &str) -> Result<T, Misfit> {
    let text = match found {
        Value::Number(it) => it.to_string(),
        Value::String(it) if ["NaN", "Infinity", "-Infinity"].contains(&it.as_str()) => it.clone(),
        other => return Err(Misfit::expected(path, kind(ty), other)),
    };
    let parsed = text.parse::<T>().ok().filter(|it| it.is_finite() || found.is_string());
    parsed.ok_or_else(|| Misfit::out_of_range(path, kind(ty), text))
}

trait IsFinite {
    fn is_finite(&self) -> bool;
}

impl IsFinite for f32 {
    fn is_finite(&self) -> bool {
        f32::is_finite(*self)
    }
}

impl IsFinite for f64 {
    fn is_finite(&self) -> bool {
        f64::is_finite(*self)
    }
}

fn character(found: &str, path: &str) -> Result<char, Misfit> {
    let mut characters = found.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(Misfit::out_of_range(
            path,
            "a string of one character",
            format_args!("{} characters", found.chars().count()),
        )),
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// Does something with the path of a part.
fn below<T>(path: &mut String, part: &str, inside: impl FnOnce(&mut String) -> T) -> T {
    let length = path.len();
    path.push_str(part);
    let done = inside(path);
    path.truncate(length);
    done
}
