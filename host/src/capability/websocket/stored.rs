//! A message as the journal holds it: a JSON text, binary data in base64.

use super::effect::{Event, Message};
use crate::bindings::everstep::host::websocket;
use crate::secrets::Secrets;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Stored {
    /// Text.
    Text(String),
    /// Base64 with padding (RFC 4648, section 4).
    Binary(String),
    /// The end.
    Closed { cause: Cause, code: u16, reason: String },
}

/// The cause of the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Cause {
    Peer,
    Guest,
    Idle,
    Refused,
    Failed,
    Recovered,
}

impl Stored {
    pub(super) fn write(&self) -> String {
        // Texts and numbers always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The same message without secrets.
    pub(super) fn without(self, secrets: &Secrets) -> Self {
        match self {
            Self::Text(text) => Self::Text(secrets.scrub(&text).into_owned()),
            Self::Binary(base64) => match STANDARD.decode(&base64) {
                Ok(bytes) => Self::Binary(STANDARD.encode(secrets.scrub_bytes(bytes))),
                Err(_) => Self::Binary(base64),
            },
            Self::Closed { cause, code, reason } => {
                Self::Closed { cause, code, reason: secrets.scrub(&reason).into_owned() }
            }
        }
    }

    /// Reads a stored message; `None` for any other text.
    pub(super) fn read(json: &str) -> Option<websocket::Event> {
        Some(match serde_json::from_str(json).ok()? {
            Self::Text(text) => websocket::Event::Text(text),
            Self::Binary(base64) => websocket::Event::Binary(STANDARD.decode(base64).ok()?),
            Self::Closed { cause, code, reason } => {
                websocket::Event::Closed(websocket::Closed { cause: cause.into(), code, reason })
            }
        })
    }

    /// The end of a connection whose host is gone.
    pub(super) fn recovered() -> Self {
        let reason = "the host that had the connection is gone; connect again".to_owned();
        Self::Closed { cause: Cause::Recovered, code: 1006, reason }
    }
}

impl From<Event> for Stored {
    fn from(event: Event) -> Self {
        match event {
            Event::Message(Message::Text(text)) => Self::Text(text),
            Event::Message(Message::Binary(bytes)) => Self::Binary(STANDARD.encode(bytes)),
            Event::Closed(closed) => closed.into(),
        }
    }
}

impl From<Cause> for websocket::Cause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Peer => Self::Peer,
            Cause::Guest => Self::Guest,
            Cause::Idle => Self::Idle,
            Cause::Refused => Self::Refused,
            Cause::Failed => Self::Failed,
            Cause::Recovered => Self::Recovered,
        }
    }
}
