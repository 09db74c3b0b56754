//! The output of a guest: printed text, displayed values and denials, released once their record is durable.

use everstep_words::id::ExecutionId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One piece of output of one execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The execution.
    pub execution: ExecutionId,
    /// The step that showed it.
    pub step: u64,
    /// The content.
    pub content: Content,
    /// In a session: the request whose answer, a cell, ran when it was shown; none between two cells.
    pub during: Option<u64>,
}

/// The content of a piece of output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Printed text, as it is.
    Stdout(String),
    /// Printed text for the error stream.
    Stderr(String),
    /// One value in several representations.
    Display(Vec<MimePart>),
    /// A call that was denied; not shown to the reader of the output.
    Denied {
        /// The interface and function, such as `files.read`.
        call: String,
        /// The subject of the call.
        subject: String,
        /// The error message for the guest.
        message: String,
    },
}

/// One representation: text as it is, binary data in base64 (the notebook MIME protocol).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MimePart {
    /// The media type, such as `text/plain`.
    pub mime: String,
    /// The data.
    pub data: String,
}

/// The reader of output. Called in the order of the steps of an execution, from the thread that writes the store: it must not
/// wait for the host.
pub type Sink = Arc<dyn Fn(Output) + Send + Sync>;

/// The marker that is shown once the limit is reached.
const MARKER: &str = "\n[everstep: limits.output is reached, the rest of the output is dropped]\n";

impl Content {
    /// The part of it that may still be shown: all, or a part and a marker, or nothing. `shown` counts the bytes so
    /// far.
    pub fn capped(self, shown: &mut u64, limit: u64) -> Option<Self> {
        if *shown > limit {
            return None;
        }
        let room = limit - *shown;
        let size = self.size();
        // The first output that does not fit raises the count above the limit, so that it is the last.
        *shown = shown.saturating_add(size);
        if size <= room {
            return Some(self);
        }
        Some(match self {
            Self::Stdout(text) => Self::Stdout(cut(text, room) + MARKER),
            Self::Stderr(text) => Self::Stderr(cut(text, room) + MARKER),
            Self::Display(_) | Self::Denied { .. } => Self::Stderr(MARKER.to_owned()),
        })
    }

    /// Bytes of text or data.
    fn size(&self) -> u64 {
        match self {
            Self::Stdout(text) | Self::Stderr(text) => text.len() as u64,
            Self::Display(parts) => parts.iter().map(|part| (part.mime.len() + part.data.len()) as u64).sum(),
            Self::Denied { .. } => 0,
        }
    }
}

/// The first `room` bytes, or a few less where a character would be cut.
fn cut(mut text: String, room: u64) -> String {
    let mut end = usize::try_from(room).unwrap_or(usize::MAX).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_shown_once_and_then_nothing() {
        let mut shown = 0;
        let mut print = |text: &str| Content::Stdout(text.into()).capped(&mut shown, 5);
        assert_eq!(print("abc"), Some(Content::Stdout("abc".into())));
        assert_eq!(print("dü!"), Some(Content::Stdout(format!("d{MARKER}"))));
        assert_eq!(print("x"), None);
        assert_eq!(print(""), None);
    }

    #[test]
    fn output_that_fits_exactly_is_whole() {
        let mut shown = 0;
        assert_eq!(Content::Stdout("abcde".into()).capped(&mut shown, 5), Some(Content::Stdout("abcde".into())));
        assert_eq!(Content::Stdout("f".into()).capped(&mut shown, 5), Some(Content::Stdout(MARKER.into())));
        assert_eq!(Content::Stdout("g".into()).capped(&mut shown, 5), None);
    }
}
