//! A response as the journal holds it: a JSON text, its body in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) url: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    status: u16,
    url: String,
    headers: Vec<(String, String)>,
    /// Base64 with padding (RFC 4648, section 4).
    body: String,
}

impl Stored {
    pub(super) fn write(self) -> String {
        let Self { status, headers, body, url } = self;
        let shape = Shape { status, url, headers, body: STANDARD.encode(body) };
        // Texts and lists of texts always serialise.
        serde_json::to_string(&shape).unwrap_or_default()
    }

    /// Reads a stored response; `None` for any other text.
    pub(super) fn read(json: &str) -> Option<Self> {
        let Shape { status, url, headers, body } = serde_json::from_str(json).ok()?;
        Some(Self { status, headers, body: STANDARD.decode(body).ok()?, url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_reads_back_as_it_was_written() {
        let headers = vec![("x".to_owned(), "é\"".to_owned())];
        let stored = Stored { status: 404, headers, body: (0..=255).collect(), url: "https://x/".to_owned() };
        assert_eq!(Stored::read(&stored.clone().write()), Some(stored));
        for text in ["null", "{}", r#"{"status":200,"url":"","headers":[],"body":"*"}"#] {
            assert_eq!(Stored::read(text), None);
        }
    }
}
