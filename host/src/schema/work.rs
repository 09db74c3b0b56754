//! The maximum cost of a check, determined by walking schema and value like a validator that never stops early.
//!
//! One unit is roughly the time for comparing two small values. Validators walk a schema that applies itself twice to a part of
//! the value in time exponential in its depth; so does this walk, until its budget is used up.

use super::outline::{Id, Shape};
use serde_json::{Number, Value};

/// The most units that a check may take.
const BUDGET: u64 = 50_000_000;

/// The most units for a description of what does not fit, where each error copies the value it is about.
const EXPLAIN_BUDGET: u64 = 2_000_000;

/// The deepest stack of schemas while checking, each of them less than a KiB of the thread's stack.
const MAX_DEPTH: usize = 600;

/// The deepest stack of schemas on the same value.
const MAX_IN_PLACE_DEPTH: usize = 64;

/// The most schemas that one schema applies to the same value.
const MAX_IN_PLACE: u64 = 10_000;

/// Outside this range, dividing by a fraction needs numbers of many digits.
const EXACT: std::ops::Range<f64> = 1e-9..1e15;

/// The most keywords that all `unevaluatedProperties` and `unevaluatedItems` together copy from the schemas around them.
const MAX_LOOKED_UP: u64 = 100_000;

/// The work of one schema on one value, without its members and items.
#[derive(Clone, Copy, Default)]
struct InPlace {
    checks: u64,
    /// Further checks by an `unevaluatedProperties` or `unevaluatedItems` above.
    lookups: u64,
    /// The keywords of these checks, and the entries that they list.
    looked_up: u64,
    depth: usize,
}

/// Refuses a schema that applies itself to the value it is applied to, or too many schemas.
pub(super) fn check_schema(shapes: &[Shape]) -> Result<(), String> {
    let mut known = vec![None; shapes.len()];
    let mut looked_up = 0u64;
    for id in 0..shapes.len() {
        let in_place = in_place(shapes, &mut known, id, 0)?;
        if shapes[id].unevaluated {
            looked_up = looked_up.saturating_add(in_place.looked_up);
        }
        if in_place.checks > MAX_IN_PLACE {
            return Err(format!("it applies more than {MAX_IN_PLACE} schemas to one value"));
        }
        if looked_up > MAX_LOOKED_UP {
            return Err("it has too much around its unevaluatedProperties and unevaluatedItems".to_owned());
        }
    }
    Ok(())
}

fn in_place(shapes: &[Shape], known: &mut [Option<InPlace>], id: Id, depth: usize) -> Result<InPlace, String> {
    if let Some(in_place) = known[id] {
        return Ok(in_place);
    }
    // A cycle leads here, too.
    let too_deep = || {
        format!(
            "it applies a schema to the value that the schema is applied to already, or more than {MAX_IN_PLACE_DEPTH} on top of \
             each other; a reference to itself must be below properties or items"
        )
    };
    if depth > MAX_IN_PLACE_DEPTH {
        return Err(too_deep());
    }
    let mut sum = InPlace { checks: 1, lookups: 1, looked_up: shapes[id].size, depth: 1 };
    for child in &shapes[id].in_place {
        let child = in_place(shapes, known, *child, depth + 1)?;
        sum.checks = sum.checks.saturating_add(child.checks);
        sum.lookups = sum.lookups.saturating_add(child.checks).saturating_add(child.lookups);
        sum.looked_up = sum.looked_up.saturating_add(child.checks).saturating_add(child.looked_up);
        sum.depth = sum.depth.max(child.depth + 1);
    }
    if shapes[id].unevaluated {
        sum.checks = sum.checks.saturating_add(sum.lookups);
    }
    if sum.depth > MAX_IN_PLACE_DEPTH {
        return Err(too_deep());
    }
    known[id] = Some(sum);
    Ok(sum)
}

/// The cost of matching one byte against a compiled pattern of some size, with all its states active.
pub(super) fn pattern_cost(size: usize) -> u64 {
    (size / 64) as u64
}

/// The number of values in a value; long strings count more.
pub(super) fn weight(value: &Value) -> u64 {
    match value {
        Value::String(text) => 1 + text.len() as u64 / 16,
        Value::Array(items) => 1 + items.iter().map(weight).sum::<u64>(),
        Value::Object(members) => {
            1 + members.iter().map(|(name, value)| name.len() as u64 / 16 + weight(value)).sum::<u64>()
        }
        _ => 1,
    }
}

/// A walk on a budget.
pub(super) struct Work<'a> {
    shapes: &'a [Shape],
    left: u64,
    /// Whether each schema may copy its value into an error, and is checked again by each schema around it.
    explains: bool,
}

impl<'a> Work<'a> {
    pub(super) fn to_check(shapes: &'a [Shape]) -> Self {
        Self { shapes, left: BUDGET, explains: false }
    }

    /// Work for an explanation. Without alternatives the first error is the only one, and another check finds it.
    pub(super) fn to_explain(shapes: &'a [Shape]) -> Self {
        let explains = shapes.iter().any(|shape| shape.alternatives);
        Self { shapes, left: if explains { EXPLAIN_BUDGET } else { BUDGET }, explains }
    }

    pub(super) fn run(mut self, value: &Value) -> Result<(), String> {
        self.visit(0, value, 0)
    }

    fn visit(&mut self, id: Id, value: &Value, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("to check the value, more than {MAX_DEPTH} schemas would apply on top of each other"));
        }
        let shapes = self.shapes;
        let shape = &shapes[id];
        let times = if self.explains { weight(value).saturating_add(depth as u64) } else { 1 };
        self.spend(shape.size.saturating_mul(times))?;
        for child in &shape.in_place {
            self.visit(*child, value, depth + 1)?;
        }
        if shape.unevaluated {
            self.look_up(id, value, depth)?;
        }
        match value {
            Value::String(text) => self.spend(text.len() as u64 * shape.pattern + text.len() as u64 / 32),
            Value::Number(number) if shape.fraction => self.spend(division(number)),
            Value::Array(items) => {
                self.spend(if shape.unique { comparisons(items) } else { 0 })?;
                self.below(shape, value, depth)
            }
            Value::Object(_) => self.below(shape, value, depth),
            _ => Ok(()),
        }
    }

    /// Counts the checks of the members or items of a value.
    fn below(&mut self, shape: &Shape, value: &Value, depth: usize) -> Result<(), String> {
        match value {
            Value::Array(items) => {
                for (id, item) in shape.prefix.iter().zip(items) {
                    self.visit(*id, item, depth + 1)?;
                }
                for id in &shape.items {
                    items.iter().try_for_each(|item| self.visit(*id, item, depth + 1))?;
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    self.spend(1 + name.len() as u64 * shape.name_patterns)?;
                    for id in shape.properties.get(name).into_iter().chain(&shape.members) {
                        self.visit(*id, member, depth + 1)?;
                    }
                    if !shape.names.is_empty() {
                        let name = Value::String(name.clone());
                        shape.names.iter().try_for_each(|id| self.visit(*id, &name, depth + 1))?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts the repeated checks of the in-place schemas whose results are looked up, each with its own lookups.
    fn look_up(&mut self, id: Id, value: &Value, depth: usize) -> Result<(), String> {
        self.spend(1)?;
        let shapes = self.shapes;
        for child in &shapes[id].in_place {
            self.visit(*child, value, depth + 1)?;
            self.look_up(*child, value, depth + 1)?;
        }
        self.below(&shapes[id], value, depth)
    }

    fn spend(&mut self, units: u64) -> Result<(), String> {
        let left = self.left.checked_sub(units);
        self.left = left.ok_or("it would take too long to check the value against the schema")?;
        Ok(())
    }
}

fn division(number: &Number) -> u64 {
    let number = number.as_f64().unwrap_or(0.0).abs();
    if number == 0.0 || EXACT.contains(&number) { 100 } else { 10_000 }
}

/// The possible cost of telling items apart. The validator hashes them, but gives equal hashes to arrays that differ only in
/// nesting, and to numbers that `f64` cannot distinguish.
fn comparisons(items: &[Value]) -> u64 {
    let (mut alike, mut weights, mut total) = (0u64, 0u64, 0u64);
    for item in items {
        let weight = weight(item);
        total += weight;
        if matches!(item, Value::Array(_) | Value::Object(_))
            || item.as_f64().is_some_and(|item| item.abs() > EXACT.end)
        {
            alike += 1;
            weights += weight;
        }
    }
    total.saturating_add(alike.saturating_mul(weights))
}
