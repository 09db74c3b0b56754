//! The messages of a session, one JSON object each.

use crate::guest_error::ErrorCode;
use crate::json;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The version of the protocol.
pub(super) const PROTOCOL: u32 = 1;

/// A request of a client. Each is answered by one `result` or `error` whose `reply_to` is its `id`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Run a cell, after those that were sent before. Answered when the cell has ended. A cell whose id has run before is not run again: its
    /// result is sent again.
    Execute(Execute),
    /// Name what goes on with the text before a place, answered after the cells that were sent before: the `value` of the result is
    /// `{"matches": [NAME], "start": N, "end": N}`, and each name is to stand between these characters. Nothing of the program runs for it.
    Complete(Look),
    /// Describe what is named at a place, in the same order: the `value` is `{"found": BOOL, "text": TEXT}`, with signature, type and
    /// documentation. Nothing of the program runs for it.
    Inspect(Look),
    /// Answer an `input_request`.
    InputResponse(Response),
    /// Answer a `capability_request`.
    CapabilityResponse(Response),
    /// End the running cell with a `KeyboardInterrupt`; the session continues.
    Interrupt(Plain),
    /// Resume a session that has halted, and send the open requests again.
    Resume(Resume),
    /// Report the state of the session.
    Status(Plain),
    /// Leave the session, which can be resumed later, or end it.
    Shutdown(Shutdown),
}

/// Run a cell.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Execute {
    /// Chosen by the client; the idempotency key of the cell.
    pub id: String,
    /// The source code.
    pub code: String,
    /// Whether a person types the cell: the value of its last expression is printed, and an incomplete cell is not run.
    #[serde(default)]
    pub interactive: bool,
}

/// Look at a place in the code that a person types.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// Chosen by the client.
    pub id: String,
    /// The source code, not run.
    pub code: String,
    /// The place: how many characters (not bytes) of the code are before it.
    pub cursor: u64,
    /// For `inspect`: with 1 the source code of a function is told as well, if a cell has defined it.
    #[serde(default)]
    pub detail: u8,
}

/// An answer: either `value` or `error`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// Chosen by the client.
    pub id: String,
    /// The `id` of the message that it answers.
    pub request_id: String,
    /// The value that was asked for. For an approval `{"approved": true or false, "by": TEXT, "reason": TEXT}`; `by` and `reason` are optional.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub value: Option<Json>,
    /// The reason that there is no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Reason>,
}

/// The reason that there is no value.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The class of the error; `failed` if it is missing.
    #[serde(default = "failed")]
    #[schemars(with = "String")]
    pub code: ErrorCode,
    /// The message for the guest.
    pub message: String,
}

/// A request without arguments.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plain {
    /// Chosen by the client.
    pub id: String,
}

/// Resume a session.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// Chosen by the client.
    pub id: String,
    /// Whether everything that the session has shown is sent again first.
    #[serde(default)]
    pub history: bool,
}

/// Leave a session.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// Chosen by the client.
    pub id: String,
    /// Whether the session ends and cannot be resumed; it must be idle.
    #[serde(default)]
    pub end: bool,
}

/// A message to a client.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Message {
    /// For output, denials, requests and results, the id of their step or promise, which is the same when they are sent again.
    pub id: String,
    /// The id of the session, or of an execution that it has called.
    pub execution_id: String,
    /// The `id` of the request that it answers, as it was written; for output, that of the cell that ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub reply_to: Option<Json>,
    /// The content.
    #[serde(flatten)]
    pub body: Body,
}

/// The content of a message.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Body {
    /// The session can be used.
    Ready {
        /// The version of the protocol: 1.
        protocol: u32,
        /// The version of the host.
        version: String,
        /// Whether the session existed before.
        resumed: bool,
    },
    /// Printed text.
    Output {
        /// Where it was printed.
        stream: Stream,
        /// The text, unchanged.
        text: String,
    },
    /// A displayed value, after the notebook MIME protocol.
    Display {
        /// The data by media type: text unchanged, binary data in base64.
        data: BTreeMap<String, String>,
    },
    /// A request to a person or another system; answered by an `input_response`.
    InputRequest {
        /// What is requested.
        kind: Kind,
        /// The question, or the call to be approved.
        prompt: String,
        /// The data to show with it.
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Json>,
        /// The JSON Schema that an answer must match.
        #[serde(skip_serializing_if = "Option::is_none")]
        schema: Option<Json>,
        /// When it is too late, in milliseconds since the Unix epoch.
        #[serde(skip_serializing_if = "Option::is_none")]
        deadline_ms: Option<u64>,
    },
    /// A request to a capability that the client serves; answered by a `capability_response`.
    CapabilityRequest {
        /// Its name in the policy.
        capability: String,
        /// The message of the request.
        message: Json,
        /// When it is too late, in milliseconds since the Unix epoch.
        #[serde(skip_serializing_if = "Option::is_none")]
        deadline_ms: Option<u64>,
    },
    /// A request was carried out.
    Result {
        /// For a cell, the value of its last expression, if JSON can represent it; for `complete` and `inspect`, what was found; for
        /// `status`, the state of the session; otherwise null.
        value: Json,
        /// For a cell that has a value: its `repr`.
        #[serde(skip_serializing_if = "Option::is_none")]
        repr: Option<String>,
        /// The value in several representations, by media type.
        data: BTreeMap<String, String>,
        /// The number of the cell, from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        cell: Option<u64>,
        /// Whether the cell is incomplete, and was not run.
        incomplete: bool,
    },
    /// A request was not carried out, a cell raised an exception, or, without `reply_to`, the session has halted.
    Error {
        /// The type of the exception, or the kind of the error.
        name: String,
        /// The message.
        message: String,
        /// For a cell: the traceback, as Python prints it.
        #[serde(skip_serializing_if = "Option::is_none")]
        traceback: Option<String>,
        /// The number of the cell, from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        cell: Option<u64>,
    },
    /// A notice of the host for a person, such as what an interruption has undone.
    Notice {
        /// The message.
        message: String,
    },
    /// The policy denied a call. The cell may have handled the error.
    Denied {
        /// The interface and function, such as `files.read`.
        call: String,
        /// The subject of the call, such as a path or a URL.
        subject: String,
        /// The rule that decided, and the remedy.
        message: String,
    },
}

/// Where text is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An answer.
    Input,
    /// A decision whether a call may be made.
    Approval,
    /// A value from outside.
    Promise,
}

/// The state of a session: the value of the answer to `status`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Standing {
    /// The state of its execution.
    pub state: String,
    /// Whether a cell is running.
    pub busy: bool,
    /// The id of the running cell.
    pub running: Option<String>,
    /// The ids of the cells that have not started.
    pub queued: Vec<String>,
    /// The number of cells that have run.
    pub cells: u64,
    /// The ids of the messages that need an answer.
    pub open: Vec<String>,
}

/// A JSON text, numbers as they are written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(pub Box<RawValue>);

impl Json {
    /// A text that is JSON; null otherwise.
    pub(super) fn of(text: &str) -> Self {
        Self(RawValue::from_string(text.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    /// The JSON of a value; null if there is none.
    pub(super) fn from(value: &impl Serialize) -> Self {
        Self(serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// Whether it is this text, as a value.
    pub fn is(&self, value: &str) -> bool {
        serde_json::from_str::<String>(self.text()).is_ok_and(|found| found == value)
    }
}

impl JsonSchema for Json {
    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}

/// A line that is not a request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// The id of the request, if it has one, as it was written: half of a surrogate pair may be in it.
    pub id: Option<Json>,
    /// The error.
    pub message: String,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// The error in it, with the name of the field.
    pub fn parse(line: &[u8]) -> Result<Self, Refused> {
        let unknown = |error: serde_json::Error| Refused { id: None, message: format!("not a JSON object: {error}") };
        // Kept as written, so that no number changes.
        let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(line).map_err(unknown)?;
        let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).ok();
        let id = fields.get("id").filter(|id| id.get().starts_with('"')).map(|id| Json(id.clone()));
        let refused = |message: String| Refused { id: id.clone(), message };
        for (name, field) in &fields {
            json::check_depth(field.get()).map_err(|error| refused(format!("{name}: {error}")))?;
        }
        let Some(kind) = fields.remove("type").and_then(|kind| text(&kind)) else {
            return Err(refused(format!("a request has a type: {KINDS}")));
        };
        let wrong = |error: serde_json::Error| {
            let error = error.to_string();
            // The parser's words for it name neither.
            let half =
                if error.contains("hex escape") { "half of a surrogate pair is no text; leave it out: " } else { "" };
            refused(format!("{kind}: {half}{error}"))
        };
        let fields = serde_json::to_string(&fields).map_err(wrong)?;
        let request = match &*kind {
            "execute" => Self::Execute(read(&fields).map_err(wrong)?),
            "complete" => Self::Complete(read(&fields).map_err(wrong)?),
            "inspect" => Self::Inspect(read(&fields).map_err(wrong)?),
            "input_response" => Self::InputResponse(read(&fields).map_err(wrong)?),
            "capability_response" => Self::CapabilityResponse(read(&fields).map_err(wrong)?),
            "interrupt" => Self::Interrupt(read(&fields).map_err(wrong)?),
            "resume" => Self::Resume(read(&fields).map_err(wrong)?),
            "status" => Self::Status(read(&fields).map_err(wrong)?),
            "shutdown" => Self::Shutdown(read(&fields).map_err(wrong)?),
            _ => return Err(refused(format!("there is no request {kind:?}; there are {KINDS}"))),
        };
        match &request {
            Self::InputResponse(response) | Self::CapabilityResponse(response)
                if response.value.is_some() == response.error.is_some() =>
            {
                Err(refused(format!("{kind}: either value or error is due")))
            }
            _ => Ok(request),
        }
    }
}

const KINDS: &str =
    "execute, complete, inspect, input_response, capability_response, interrupt, resume, status, shutdown";

fn read<T: DeserializeOwned>(fields: &str) -> serde_json::Result<T> {
    serde_json::from_str(fields)
}

/// A field that is present, even if null.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

fn failed() -> ErrorCode {
    ErrorCode::Failed
}

/// The JSON Schemas (draft 2020-12) of requests, messages and the answer to `status`, derived from the types that read and write them.
pub fn schema() -> serde_json::Value {
    serde_json::json!({
        "request": schemars::schema_for!(Request).to_value(),
        "message": schemars::schema_for!(Message).to_value(),
        "status": schemars::schema_for!(Standing).to_value(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_is_written() {
        let line = br#"{"type": "input_response", "id": "r", "request_id": "s.1", "value": 123456789012345678901234567890.10}"#;
        let Ok(Request::InputResponse(response)) = Request::parse(line) else { panic!() };
        assert_eq!(response.value.unwrap().text(), "123456789012345678901234567890.10");
        let null = br#"{"type": "input_response", "id": "r", "request_id": "s.1", "value": null}"#;
        let Ok(Request::InputResponse(response)) = Request::parse(null) else { panic!() };
        assert_eq!(response.value.unwrap().text(), "null");
    }

    #[test]
    fn what_is_no_request_is_refused_by_name() {
        for (line, id, part) in [
            ("", None, "not a JSON object"),
            ("[1]", None, "not a JSON object"),
            (r#"{"type": "status", "id": "a\ud83d"}"#, Some(r#""a\ud83d""#), "half of a surrogate pair"),
            ("{\"id\": \"a\"}", Some("a"), "a request has a type: execute"),
            (r#"{"type": "exec", "id": "a"}"#, Some("a"), "there is no request \"exec\""),
            (r#"{"type": "execute", "id": "a"}"#, Some("a"), "missing field `code`"),
            (r#"{"type": "status", "id": "a", "more": 1}"#, Some("a"), "unknown field `more`"),
            (r#"{"type": "status"}"#, None, "missing field `id`"),
            (r#"{"type": "execute", "id": "a", "code": "x = '\ud83d'"}"#, Some("a"), "half of a surrogate pair"),
            (r#"{"type": "input_response", "id": "a", "request_id": "b"}"#, Some("a"), "either value or error"),
        ] {
            let refused = Request::parse(line.as_bytes()).unwrap_err();
            let id = id.map(|id| if id.starts_with('"') { id.to_owned() } else { format!("\"{id}\"") });
            assert_eq!(refused.id.as_ref().map(Json::text), id.as_deref(), "{line}");
            assert!(refused.message.contains(part), "{line}: {refused}");
        }
        for depth in [json::DEEPEST + 1, 20_000] {
            let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let line = format!(r#"{{"type": "input_response", "id": "r", "request_id": "s.1", "value": {value}}}"#);
            let refused = Request::parse(line.as_bytes()).unwrap_err();
            assert!(refused.id.unwrap().is("r"));
            assert_eq!(refused.message, "value: nested more than 128 deep; flatten it");
        }
        assert!(Request::parse(b"{\"type\": \"\xff\"}").is_err());
    }

    #[test]
    fn messages_fit_their_schema() {
        let schema = schema();
        let validator = jsonschema::validator_for(&schema["message"]).unwrap();
        let body = Body::Result {
            value: Json::of("[1.50]"),
            repr: None,
            data: BTreeMap::new(),
            cell: Some(1),
            incomplete: false,
        };
        let message = Message { id: "s.1".into(), execution_id: "s".into(), reply_to: Some(Json::from(&"c")), body };
        let json = serde_json::to_string(&message).unwrap();
        assert_eq!(
            json,
            r#"{"id":"s.1","execution_id":"s","reply_to":"c","type":"result","value":[1.50],"data":{},"cell":1,"incomplete":false}"#
        );
        assert!(validator.is_valid(&serde_json::from_str(&json).unwrap()));
        assert!(!validator.is_valid(&serde_json::json!({ "id": "s.1", "execution_id": "s", "type": "other" })));
    }
}
