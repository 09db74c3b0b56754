//! Tools for the person who writes a policy. They decide nothing and apply nothing.
//!
//! - `question` makes a call of what a person, a case or an audit line says.
//! - [`explain`] decides it and says why, and which rule would allow it.
//! - [`suggest`] collects such rules for what an audit log says was denied.
//! - [`test`] checks a policy against a file of cases.
//! - [`diff`] tells what of two policies one allows and the other does not; [`told`] tells what one grants.
//! - `remarks` tells which sizes of a policy never apply.
//! - [`to_toml`] writes a policy as a file, [`schema`] describes such files.

mod cases;
mod diff;
mod explain;
mod question;
mod remarks;
pub(crate) mod render;
mod schema;
mod suggest;

pub use crate::section::{NoQuestion, Question};
pub use cases::{Case, CaseError, Cases, Failed};
pub use diff::{Change, diff};
pub use explain::{Explanation, explain};
pub use question::question;
pub use render::{rule_toml, to_toml, told};
pub use schema::schema;
pub use suggest::{Skipped, Suggestion, Suggestions, suggest};

#[cfg(test)]
mod tests;
