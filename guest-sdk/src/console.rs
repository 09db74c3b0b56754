//! Output and questions for the people who watch the execution.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::everstep::host::console::{self, InputOptions, MimePart, OutputStream};
use crate::timers::millis;
use crate::{Context, Error, Promise, schema};

impl Context {
    /// Prints a line on standard output.
    pub fn print(&self, line: impl Into<String>) -> Result<(), Error> {
        print(OutputStream::Stdout, line.into())
    }

    /// Prints a line on standard error.
    pub fn eprint(&self, line: impl Into<String>) -> Result<(), Error> {
        print(OutputStream::Stderr, line.into())
    }

    /// Shows one value in several representations, richest first.
    pub fn display(&self, bundle: MimeBundle) -> Result<(), Error> {
        Ok(console::display(&bundle.0)?)
    }

    /// Asks a human; resolves with the JSON that answers, read as `T` (a `String` for free text).
    ///
    /// The question carries the JSON Schema of `T`: an answer that does not fit is refused and leaves the question open. See
    /// [`JsonSchema`] for how to derive it for a type of your own; `serde_json::Value` takes any answer.
    pub fn input<T: DeserializeOwned + JsonSchema>(&self, prompt: &str) -> Promise<T> {
        input(prompt, None)
    }

    /// As [`input`](Self::input), but fails with `timed-out` if there is no answer within `timeout`.
    pub fn input_within<T: DeserializeOwned + JsonSchema>(&self, prompt: &str, timeout: Duration) -> Promise<T> {
        input(prompt, Some(millis(timeout)))
    }
}

fn print(stream: OutputStream, mut line: String) -> Result<(), Error> {
    line.push('\n');
    Ok(console::print(stream, &line)?)
}

fn input<T: JsonSchema>(prompt: &str, timeout_ms: Option<u64>) -> Promise<T> {
    let options = InputOptions { timeout_ms, schema: schema::of::<T>() };
    Promise::created(console::input(prompt, &options))
}

/// One value in several representations, after the notebook MIME protocol.
///
/// ```
/// use everstep_sdk::MimeBundle;
/// let bundle = MimeBundle::new().html("<b>12</b> files").text("12 files");
/// ```
#[derive(Debug, Clone, Default)]
pub struct MimeBundle(Vec<MimePart>);

impl MimeBundle {
    /// A value without a representation; showing it is `invalid` until it has one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds text of any MIME type.
    pub fn part(mut self, mime: impl Into<String>, data: impl Into<String>) -> Self {
        self.0.push(MimePart { mime: mime.into(), data: data.into() });
        self
    }

    /// Adds binary data of any MIME type, such as `image/png`.
    pub fn binary(self, mime: impl Into<String>, data: &[u8]) -> Self {
        self.part(mime, base64(data))
    }

    /// Adds `text/plain`.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.part("text/plain", text)
    }

    /// Adds `text/html`.
    pub fn html(self, html: impl Into<String>) -> Self {
        self.part("text/html", html)
    }

    /// Adds `text/markdown`.
    pub fn markdown(self, markdown: impl Into<String>) -> Self {
        self.part("text/markdown", markdown)
    }

    /// Adds `application/json`.
    pub fn json(self, value: &impl Serialize) -> Result<Self, Error> {
        Ok(self.part("application/json", serde_json::to_string(value)?))
    }
}

/// RFC 4648, section 4, with padding.
fn base64(data: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let bits = chunk.iter().enumerate().fold(0, |bits, (i, byte)| bits | u32::from(*byte) << (16 - 8 * i));
        for i in 0..4 {
            let sextet = (bits >> (18 - 6 * i) & 63) as usize;
            text.push(if i > chunk.len() { '=' } else { char::from(ALPHABET[sextet]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_follows_the_vectors_of_rfc_4648() {
        let expected = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, expected) in expected.into_iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), expected);
        }
    }
}
