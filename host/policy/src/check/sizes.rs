//! Sizes that agree with each other: what a rule spells out fits into one call, unless the file says what a call carries.

use crate::file::{At, File};
use crate::units::Size;

/// The largest size that a rule of a file spells out; one that is unlimited says nothing about a call.
pub(super) fn largest(shape: &File) -> Option<u64> {
    let files = shape.files.iter().flatten().map(|rule| &rule.max_file);
    let requests = shape.fetch.iter().flatten().map(|rule| &rule.max_request);
    let responses = shape.fetch.iter().flatten().map(|rule| &rule.max_response);
    let messages = shape.websocket.iter().flatten().map(|rule| &rule.max_message);
    let all = files.chain(requests).chain(responses).chain(messages).flatten();
    all.map(|size: &At<Size>| size.get_ref().0).filter(|bytes| *bytes != u64::MAX).max()
}
