//! Reads a schema: copies the known keywords, and notes for the budget which schema applies which others.
//!
//! The validator cannot do what the copy does not contain. Definitions are numbered in it, so that a `$ref` means the same in
//! both.

use super::{form, options, work};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The position of a schema in the outline.
pub(super) type Id = usize;

/// The cost of one schema, and the schemas that it applies.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// The number of its keywords and of the entries that they list.
    pub(super) size: u64,
    /// Applied to the same value.
    pub(super) in_place: Vec<Id>,
    /// Applied to one member of an object.
    pub(super) properties: HashMap<String, Id>,
    /// Applied to any member of an object.
    pub(super) members: Vec<Id>,
    /// Applied to the name of any member.
    pub(super) names: Vec<Id>,
    /// Applied to the first items of an array, one each.
    pub(super) prefix: Vec<Id>,
    /// Applied to any item of an array.
    pub(super) items: Vec<Id>,
    /// Whether the results of the in-place schemas are looked up a second time.
    pub(super) unevaluated: bool,
    /// The cost of matching one byte of a string.
    pub(super) pattern: u64,
    /// The cost of matching one byte of a member's name.
    pub(super) name_patterns: u64,
    /// Whether items are compared with each other.
    pub(super) unique: bool,
    /// Whether numbers are divided by a fraction.
    pub(super) fraction: bool,
    /// Whether errors of the in-place schemas are kept, with the values they are about.
    pub(super) alternatives: bool,
}

/// The largest compiled pattern, in bytes.
pub(super) const MAX_PATTERN: usize = 1 << 20;

/// The smallest size that a pattern is measured with.
const MIN_PATTERN: usize = 1 << 10;

/// The largest sum over the patterns of a schema, in bytes, and their largest number.
const MAX_PATTERNS: (usize, usize) = (4 << 20, 256);

/// The longest pattern, in bytes of text.
const MAX_PATTERN_TEXT: usize = 4 << 10;

/// The largest sum of the lengths of all locations: the validator keeps each, so long names above many schemas add up.
const MAX_LOCATIONS: usize = 4 << 20;

/// The first number that `f64` cannot tell from its neighbour.
const MAX_COUNT: f64 = 9_007_199_254_740_992.0;

/// The keywords that contain definitions.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// The outline, root first, and the copy.
pub(super) fn read(schema: &Value) -> Result<(Vec<Shape>, Value), String> {
    let mut reader = Reader::default();
    reader.shapes.push(Shape::default());
    let mut definitions = Vec::new();
    for group in DEFINITIONS {
        let Some(members) = schema.get(group) else { continue };
        let members = members.as_object().ok_or_else(|| format!("at /{group}: it is not an object"))?;
        for (name, definition) in members {
            reader.definitions.insert((group, name), reader.shapes.len());
            reader.shapes.push(Shape::default());
            definitions.push((group, name, definition));
        }
    }
    let mut copy = reader.schema(0, schema, &mut String::new())?;
    let mut copies = Map::new();
    for (index, (group, name, definition)) in definitions.into_iter().enumerate() {
        let mut at = format!("/{group}");
        let definition = reader.below(&mut at, name, |reader, at| reader.schema(index + 1, definition, at))?;
        copies.insert((index + 1).to_string(), definition);
    }
    if let Value::Object(copy) = &mut copy
        && !copies.is_empty()
    {
        copy.insert("$defs".to_owned(), Value::Object(copies));
    }
    Ok((reader.shapes, copy))
}

#[derive(Default)]
struct Reader<'a> {
    shapes: Vec<Shape>,
    definitions: HashMap<(&'static str, &'a str), Id>,
    /// The cost of matching one byte, by pattern.
    patterns: HashMap<String, u64>,
    pattern_bytes: usize,
    locations: usize,
}

impl Reader<'_> {
    fn schema(&mut self, id: Id, schema: &Value, at: &mut String) -> Result<Value, String> {
        let keywords = match schema {
            Value::Bool(_) => {
                self.shapes[id].size = 1;
                return Ok(schema.clone());
            }
            Value::Object(keywords) => keywords,
            _ => return Err(format!("{} is not an object, true or false", place(at))),
        };
        self.locations += at.len() * (keywords.len() + 1);
        if self.locations > MAX_LOCATIONS {
            return Err("its names are too long for how deep it is nested".to_owned());
        }
        let mut copy = Map::new();
        let mut shape = Shape { size: 1, ..Shape::default() };
        for (keyword, value) in keywords {
            let kept = self.below(at, keyword, |reader, at| reader.keyword(&mut shape, keyword, value, at))?;
            if let Some(kept) = kept {
                shape.size += 1;
                copy.insert(keyword.clone(), kept);
            }
        }
        if let Some(form) = form::of(keywords) {
            shape.size += 1;
            copy.insert(form::KEYWORD.to_owned(), form.into());
        }
        self.shapes[id] = shape;
        Ok(Value::Object(copy))
    }

    /// The copy of a keyword's value; `None` for a keyword that checks nothing.
    fn keyword(
        &mut self,
        shape: &mut Shape,
        keyword: &str,
        value: &Value,
        at: &mut String,
    ) -> Result<Option<Value>, String> {
        Ok(Some(match keyword {
            "$ref" => self.reference(&mut shape.in_place, value, at)?,
            "allOf" => self.list(&mut shape.in_place, value, at)?,
            "anyOf" | "oneOf" => {
                shape.alternatives = true;
                self.list(&mut shape.in_place, value, at)?
            }
            "not" | "if" | "then" | "else" => self.one(&mut shape.in_place, value, at)?,
            "dependentSchemas" => {
                let (dependent, copy) = self.named(value, at)?;
                shape.size += dependent.len() as u64;
                shape.in_place.extend(dependent.into_values());
                copy
            }
            "properties" => {
                let (properties, copy) = self.named(value, at)?;
                shape.size += properties.len() as u64;
                shape.properties = properties;
                copy
            }
            "patternProperties" => {
                let (patterns, copy) = self.named(value, at)?;
                shape.size += patterns.len() as u64;
                for (pattern, id) in patterns {
                    shape.name_patterns += self.pattern(&pattern, at)?;
                    shape.members.push(id);
                }
                copy
            }
            "additionalProperties" => self.one(&mut shape.members, value, at)?,
            "unevaluatedProperties" => {
                shape.unevaluated = true;
                self.one(&mut shape.members, value, at)?
            }
            "propertyNames" => self.one(&mut shape.names, value, at)?,
            "prefixItems" => self.list(&mut shape.prefix, value, at)?,
            "items" | "contains" => self.one(&mut shape.items, value, at)?,
            "unevaluatedItems" => {
                shape.unevaluated = true;
                self.one(&mut shape.items, value, at)?
            }
            _ => return self.assertion(shape, keyword, value, at),
        }))
    }

    /// Copies a keyword that applies no schema.
    fn assertion(
        &mut self,
        shape: &mut Shape,
        keyword: &str,
        value: &Value,
        at: &str,
    ) -> Result<Option<Value>, String> {
        match keyword {
            "type" | "enum" | "const" | "required" | "dependentRequired" => shape.size += work::weight(value),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {}
            "multipleOf" => shape.fraction = divisor(value, at)?,
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minContains"
            | "maxContains" => return count(value, at).map(Some),
            "uniqueItems" => shape.unique = value == &Value::Bool(true),
            "pattern" => {
                let pattern = value.as_str().ok_or_else(|| format!("{} is not a string", place(at)))?;
                shape.pattern = self.pattern(pattern, at)?;
            }
            "$schema" => {
                let draft = value.as_str().map(|draft| draft.trim_end_matches('#'));
                if draft != Some("https://json-schema.org/draft/2020-12/schema") {
                    return Err(format!("{} is not https://json-schema.org/draft/2020-12/schema", place(at)));
                }
                return Ok(None);
            }
            // At the root it only names the schema; below, it would change the meaning of references.
            "$id" if at == "/$id" => return Ok(None),
            "$id" | "$dynamicRef" | "$recursiveRef" => return Err(format!("{} is not supported", place(at))),
            "dependencies" | "additionalItems" => {
                return Err(format!("{} is of an older draft; the schema must be of draft 2020-12", place(at)));
            }
            _ => return Ok(None),
        }
        Ok(Some(value.clone()))
    }

    fn new_schema(&mut self, schema: &Value, at: &mut String) -> Result<(Id, Value), String> {
        let id = self.shapes.len();
        self.shapes.push(Shape::default());
        Ok((id, self.schema(id, schema, at)?))
    }

    fn one(&mut self, ids: &mut Vec<Id>, schema: &Value, at: &mut String) -> Result<Value, String> {
        let (id, copy) = self.new_schema(schema, at)?;
        ids.push(id);
        Ok(copy)
    }

    fn list(&mut self, ids: &mut Vec<Id>, schemas: &Value, at: &mut String) -> Result<Value, String> {
        let schemas = schemas.as_array().ok_or_else(|| format!("{} is not a list of schemas", place(at)))?;
        let mut copies = Vec::new();
        for (index, schema) in schemas.iter().enumerate() {
            copies.push(self.below(at, &index.to_string(), |reader, at| reader.one(ids, schema, at))?);
        }
        Ok(Value::Array(copies))
    }

    fn named(&mut self, schemas: &Value, at: &mut String) -> Result<(HashMap<String, Id>, Value), String> {
        let schemas = schemas.as_object().ok_or_else(|| format!("{} is not an object of schemas", place(at)))?;
        let (mut ids, mut copies) = (HashMap::new(), Map::new());
        for (name, schema) in schemas {
            let (id, copy) = self.below(at, name, |reader, at| reader.new_schema(schema, at))?;
            ids.insert(name.clone(), id);
            copies.insert(name.clone(), copy);
        }
        Ok((ids, Value::Object(copies)))
    }

    fn reference(&mut self, ids: &mut Vec<Id>, reference: &Value, at: &str) -> Result<Value, String> {
        let reference = reference.as_str().ok_or_else(|| format!("{} is not a string", place(at)))?;
        if reference == "#" {
            ids.push(0);
            return Ok(json!("#"));
        }
        let definition = DEFINITIONS.iter().find_map(|group| {
            let name = reference.strip_prefix("#/")?.strip_prefix(group)?.strip_prefix('/')?;
            let name = unescape(name)?;
            self.definitions.get(&(*group, name.as_str())).copied()
        });
        let Some(id) = definition else {
            return Err(format!(
                "{} is {reference:?}; a reference is \"#\" or \"#/$defs/NAME\", and the schema must have that definition",
                place(at)
            ));
        };
        ids.push(id);
        Ok(json!(format!("#/$defs/{id}")))
    }

    /// The possible cost of matching one byte against a pattern.
    fn pattern(&mut self, pattern: &str, at: &str) -> Result<u64, String> {
        if let Some(cost) = self.patterns.get(pattern) {
            return Ok(*cost);
        }
        if pattern.len() > MAX_PATTERN_TEXT {
            return Err(format!("{} is a pattern of more than {MAX_PATTERN_TEXT} bytes", place(at)));
        }
        let probe = json!({ "pattern": pattern, "patternProperties": { pattern: true } });
        let mut sizes =
            std::iter::successors(Some(MIN_PATTERN), |size| Some(size * 2)).take_while(|size| *size <= MAX_PATTERN);
        let Some(size) = sizes.find(|size| options(*size).build(&probe).is_ok()) else {
            return Err(format!(
                "{} is {pattern:?}, which is not a pattern that can be used: it is malformed, too large when its repetitions are \
                 written out, or looks around or back",
                place(at)
            ));
        };
        self.pattern_bytes += size;
        let cost = work::pattern_cost(size);
        self.patterns.insert(pattern.to_owned(), cost);
        if self.pattern_bytes > MAX_PATTERNS.0 || self.patterns.len() > MAX_PATTERNS.1 {
            return Err("it has too many patterns, or too large ones".to_owned());
        }
        Ok(cost)
    }

    /// Calls `run` one step further down the schema.
    fn below<T>(&mut self, at: &mut String, name: &str, run: impl FnOnce(&mut Self, &mut String) -> T) -> T {
        let length = at.len();
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        let result = run(self, at);
        at.truncate(length);
        result
    }
}

fn place(at: &str) -> String {
    if at.is_empty() { "it".to_owned() } else { format!("at {at}: it") }
}

/// Checks a divisor; returns whether it has a fraction.
fn divisor(value: &Value, at: &str) -> Result<bool, String> {
    let divisor = value.as_f64().filter(|divisor| (1e-9..=MAX_COUNT).contains(divisor));
    let divisor = divisor.ok_or_else(|| format!("{} is not a number from 1e-9 to 2^53", place(at)))?;
    Ok(divisor.fract() != 0.0)
}

/// A count as an integer: by the standard, `1.0` is one.
fn count(value: &Value, at: &str) -> Result<Value, String> {
    let count = value.as_f64().filter(|count| (0.0..=MAX_COUNT).contains(count) && count.fract() == 0.0);
    let count = count.ok_or_else(|| format!("{} is not a whole number from 0 to 2^53", place(at)))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in range")]
    Ok(json!(count as u64))
}

/// The name in a JSON pointer in a URI: percent-encoded, with `~0` and `~1`. `None` if it is not one name.
fn unescape(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'/' => return None,
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    Some(String::from_utf8(bytes).ok()?.replace("~1", "/").replace("~0", "~"))
}
