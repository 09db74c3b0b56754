//! The differences between two policies.

use crate::section::SECTIONS;
use crate::{Policy, quoted};
use std::collections::BTreeSet;
use std::fmt;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Whether the second policy allows more; otherwise less.
    pub wider: bool,
    /// A description of it.
    pub what: String,
}

/// What the second policy allows that the first does not, and vice versa. Names and the order of rules do not count, as far as the same
/// is allowed under the same bounds.
pub fn diff(first: &Policy, second: &Policy) -> Vec<Change> {
    let mut changes = both_ways(first, second);
    let functions: BTreeSet<&String> = first.functions.keys().chain(second.functions.keys()).collect();
    for function in functions {
        let of_function = both_ways(&first.for_function(function), &second.for_function(function));
        let new = of_function.into_iter().filter(|change| !changes.contains(change)).collect::<Vec<_>>();
        changes.extend(
            new.into_iter()
                .map(|Change { wider, what }| Change { wider, what: format!("function {}: {what}", quoted(function)) }),
        );
    }
    changes
}

fn both_ways(first: &Policy, second: &Policy) -> Vec<Change> {
    let more = more(first, second).into_iter().map(|what| Change { wider: true, what });
    let less = self::more(second, first).into_iter().map(|what| Change { wider: false, what });
    more.chain(less).collect()
}

/// Descriptions of what `ours` allows beyond `base`.
fn more(base: &Policy, ours: &Policy) -> Vec<String> {
    SECTIONS.iter().flat_map(|section| section.beyond(ours, base)).collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.wider { '+' } else { '-' }, self.what)
    }
}
