//! A call in words: a capability and its subject.

use crate::quoted;
use crate::section::{NoQuestion, Question, SECTIONS};

/// Reads a capability (`fetch`, `websocket`, `files.read`, `clock`, `random`, or a name such as `print`) or the interface and
/// function of an audit line (`http.fetch`, `console.print`), with the subject: `METHOD URL`, a URL or a path.
///
/// # Errors
/// The subject is missing or malformed, or no rule decides it.
pub fn question(capability: &str, subject: &str) -> Result<Box<dyn Question>, NoQuestion> {
    let found = SECTIONS.iter().find_map(|section| section.question(capability, subject));
    found.unwrap_or_else(|| Err(NoQuestion::Undecided(quoted(capability))))
}
