//! Tools for the person who writes a policy. They decide nothing and apply nothing.
//!
//! - `question` makes a call from the words of a person, a case or an audit line.
//! - [`explain()`] decides and explains it, with the rule that would allow it.
//! - [`suggest()`] collects such rules for the denials in an audit log.
//! - [`starting_rule`] is one for a call that was not made yet.
//! - [`test`] checks a policy against a file of cases.
//! - [`diff()`] lists the differences between two policies; [`told`] lists what one grants.
//! - `remarks` lists the sizes in a policy that never apply.
//! - [`to_toml`] writes a policy as a file, [`schema()`] describes such files.

mod cases;
mod diff;
mod explain;
mod question;
mod remarks;
pub(crate) mod render;
mod schema;
mod start;
mod suggest;

pub use crate::section::{NoQuestion, Question};
pub use cases::{Case, CaseError, Cases, Failed};
pub use diff::{Change, diff};
pub use explain::{Explanation, explain};
pub use question::question;
pub use render::{rule_toml, to_toml, told};
pub use schema::schema;
pub use start::starting_rule;
pub use suggest::{Skipped, Suggestion, Suggestions, suggest};

#[cfg(test)]
mod tests;
