//! Describes what does not fit: where, what is there, and what should be.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use std::fmt::{self, Write};

/// The longest message, the longest place and the longest value in it, in characters.
const MAX_MESSAGE: usize = 500;
const MAX_PLACE: usize = 150;
const MAX_FOUND: usize = 80;

/// The most alternatives of `anyOf` or `oneOf` in a message, and how deep they are followed.
const MAX_ALTERNATIVES: usize = 4;
const MAX_NESTED: usize = 3;

/// The reason that a value does not fit its schema, or a schema the meta-schema.
pub(super) fn misfit(error: &ValidationError<'_>) -> String {
    capped(fmt::from_fn(|f| write_error(f, error, "", MAX_NESTED)))
}

/// A text, cut and ended with an ellipsis if it is too long.
pub(super) fn capped(text: impl fmt::Display) -> String {
    cut(text, MAX_MESSAGE)
}

fn cut(text: impl fmt::Display, limit: usize) -> String {
    let mut cut = Cut { text: String::new(), left: limit };
    if write!(cut, "{text}").is_err() {
        cut.text.push('…');
    }
    cut.text
}

/// Accepts `left` characters and then fails, so that writing a large value stops.
struct Cut {
    text: String,
    left: usize,
}

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(character);
        }
        Ok(())
    }
}

fn write_error(f: &mut fmt::Formatter<'_>, error: &ValidationError<'_>, at: &str, nested: usize) -> fmt::Result {
    let (error, alternatives) = decisive(error);
    let place = error.instance_path().as_str();
    if place != at {
        write!(f, "at {}: ", cut(place, MAX_PLACE))?;
    }
    let found = cut(error.instance(), MAX_FOUND);
    match error.kind() {
        _ if !alternatives.is_empty() && nested > 0 => {
            write!(f, "{found} fits none of the alternatives")?;
            for (index, alternative) in alternatives.iter().take(MAX_ALTERNATIVES).enumerate() {
                f.write_str(if index == 0 { ": " } else { "; or " })?;
                write_error(f, alternative, place, nested - 1)?;
            }
            f.write_str(if alternatives.len() > MAX_ALTERNATIVES { "; or others" } else { "" })
        }
        // The crate names only the first few options.
        ValidationErrorKind::Enum { options } => write!(f, "{found} is not one of {options}"),
        ValidationErrorKind::Custom { message, .. } => write!(f, "{found} {message}"),
        ValidationErrorKind::FalseSchema => write!(f, "{found} is not allowed here"),
        _ => write!(f, "{}", error.masked_with(found)),
    }
}

/// The decisive error: of alternatives the one that comes nearest, down to where several are equally near.
fn decisive<'e>(mut error: &'e ValidationError<'e>) -> (&'e ValidationError<'e>, Vec<&'e ValidationError<'e>>) {
    while let ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } = error.kind() {
        match nearest(context).as_slice() {
            [only] => error = only,
            several => return (error, several.to_vec()),
        }
    }
    (error, Vec::new())
}

/// The first error of each alternative that comes nearest to fitting: the one with the fewest errors, and then with the deepest
/// first error.
fn nearest<'e>(context: &'e [Vec<ValidationError<'static>>]) -> Vec<&'e ValidationError<'e>> {
    let distance = |errors: &[ValidationError<'_>]| {
        let depth = errors.first().map_or(0, |error| error.instance_path().as_str().matches('/').count());
        (errors.len(), std::cmp::Reverse(depth))
    };
    let alternatives = context.iter().filter(|errors| !errors.is_empty());
    let least = alternatives.clone().map(|errors| distance(errors)).min();
    alternatives.filter(|errors| Some(distance(errors)) == least).filter_map(|errors| errors.first()).collect()
}
