//! Any call with any arguments, as a test asks for it.

use crate::everstep::host::console::{self, InputOptions, MimePart, OutputStream};
use crate::everstep::host::types::{Error, ErrorCode};
use crate::everstep::host::{bridge, context, files, functions, memo, promises, random, timers};
use serde::Deserialize;
use serde_json::{Value, json};

/// One call. `...Bytes` sends that many bytes, `...Nested` lists within lists that deep.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Call {
    Read(String),
    Write(String, String),
    WriteBytes(String, usize),
    List(String),
    Stat(String),
    Remove(String),
    Now,
    Sleep(u64),
    Random(u32),
    Uuid,
    Print(String),
    PrintBytes(usize),
    DisplayBytes(usize),
    InputBytes(usize),
    Create(String),
    CreateBytes(usize),
    CreateNested(usize),
    SchemaNested(usize),
    InputSchemaNested(usize),
    Request(String, Option<u64>),
    RequestBytes(String, usize),
    RequestNested(String, usize),
    CallNested(usize),
    SpawnNested(usize),
    RequestOfLength(usize),
    Env,
    Attempt,
    Dependencies,
    Recall(String),
    RecallBytes(usize),
    Remember(u64, String),
    RememberBytes(u64, usize),
    Resolve(u64, String),
    ResolveBytes(u64, usize),
    ResolveNested(u64, usize),
    Reject(u64),
    Cancel(u64),
    Wait(Vec<u64>),
    Outcome(u64),
    /// In a replay only, which `recall` gives away.
    Replayed(Box<Call>),
    /// The same over and over: how often it went well, and the first error.
    Repeat(usize, Box<Call>),
}

/// What each call came to, as `{"ok": ...}` or `{"error": code, "message": ...}`.
pub(crate) fn each(args: &str) -> Result<String, Error> {
    let outcomes = parse(args)?.iter().map(|call| shown(make(call))).collect::<Vec<_>>();
    Ok(Value::from(outcomes).to_string())
}

/// The first error is that of the function.
pub(crate) fn until_one_fails(args: &str) -> Result<String, Error> {
    let outcomes = parse(args)?.iter().map(make).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::from(outcomes).to_string())
}

fn parse(args: &str) -> Result<Vec<Call>, Error> {
    serde_json::from_str(args).map_err(|error| Error { code: ErrorCode::Invalid, message: error.to_string() })
}

fn shown(outcome: Result<Value, Error>) -> Value {
    match outcome {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": code(error.code), "message": error.message }),
    }
}

fn make(call: &Call) -> Result<Value, Error> {
    let text = |length: &usize| "x".repeat(*length);
    let quoted = |length: &usize| format!("\"{}\"", text(length));
    Ok(match call {
        Call::Read(path) => short(files::read(path)?),
        Call::Write(path, text) => json!(files::write(path, text.as_bytes())?),
        Call::WriteBytes(path, length) => json!(files::write(path, text(length).as_bytes())?),
        Call::List(path) => files::list(path)?.iter().map(entry).collect(),
        Call::Stat(path) => entry(&files::stat(path)?),
        Call::Remove(path) => json!(files::remove(path)?),
        Call::Now => json!(timers::now()?),
        Call::Sleep(ms) => json!(timers::sleep(*ms)?),
        Call::Random(length) => {
            short(random::bytes(*length)?.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect())
        }
        Call::Uuid => json!(random::uuid()?),
        Call::Print(text) => json!(console::print(OutputStream::Stdout, text)?),
        Call::PrintBytes(length) => json!(console::print(OutputStream::Stdout, &text(length))?),
        Call::DisplayBytes(length) => {
            json!(console::display(&[MimePart { mime: "text/plain".into(), data: text(length) }])?)
        }
        Call::InputBytes(length) => {
            json!(console::input(&text(length), &InputOptions { timeout_ms: None, schema: None })?)
        }
        Call::Create(data) => json!(create(data.clone())?),
        Call::CreateBytes(length) => json!(create(quoted(length))?),
        Call::CreateNested(depth) => json!(create(nested(*depth))?),
        Call::SchemaNested(depth) => {
            let schema = Some(format!(r#"{{"const":{}}}"#, nested(depth.saturating_sub(1))));
            json!(promises::create(&promises::Options { data: None, timeout_ms: None, schema })?)
        }
        Call::InputSchemaNested(depth) => {
            let schema = Some(format!(r#"{{"const":{}}}"#, nested(depth.saturating_sub(1))));
            json!(console::input("?", &InputOptions { timeout_ms: None, schema })?)
        }
        Call::Request(capability, timeout_ms) => json!(request(capability, "null", *timeout_ms)?),
        Call::RequestBytes(capability, length) => json!(request(capability, &quoted(length), None)?),
        Call::RequestNested(capability, depth) => json!(request(capability, &nested(*depth), None)?),
        Call::CallNested(depth) => json!(functions::call("well_behaved", &nested(*depth), &call_options())?),
        Call::SpawnNested(depth) => json!(functions::spawn_detached("well_behaved", &nested(*depth), &call_options())?),
        Call::RequestOfLength(length) => json!(request(&text(length), "null", None)?),
        Call::Env => context::environment().into_iter().map(|(name, value)| (name, json!(value))).collect(),
        Call::Attempt => json!(context::attempt()?),
        Call::Dependencies => context::dependencies()?.into_iter().map(|one| one.name).collect(),
        Call::Recall(name) => recall(name)?,
        Call::RecallBytes(length) => recall(&text(length))?,
        Call::Remember(step, value) => json!(memo::remember(*step, value)?),
        Call::RememberBytes(step, length) => json!(memo::remember(*step, &quoted(length))?),
        Call::Resolve(promise, value) => json!(promises::resolve(*promise, value)?),
        Call::ResolveBytes(promise, length) => json!(promises::resolve(*promise, &quoted(length))?),
        Call::ResolveNested(promise, depth) => json!(promises::resolve(*promise, &nested(*depth))?),
        Call::Reject(promise) => {
            json!(promises::reject(*promise, &Error { code: ErrorCode::Failed, message: "rejected".into() })?)
        }
        Call::Cancel(promise) => json!(promises::cancel(*promise)?),
        Call::Wait(promises) => json!(promises::wait_any(promises)?),
        Call::Outcome(promise) => match promises::outcome(*promise) {
            None => Value::Null,
            Some(outcome) => Value::String(outcome?),
        },
        Call::Replayed(call) => match memo::recall("replayed")? {
            memo::Recollection::Remembered(_) => make(call)?,
            memo::Recollection::Compute(step) => json!(memo::remember(step, "1")?),
        },
        Call::Repeat(times, call) => {
            let mut outcomes = (0..*times).map(|_| make(call)).collect::<Vec<_>>();
            let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
            let refused = outcomes.iter().position(Result::is_err);
            let refused = refused.map(|first| shown(outcomes.swap_remove(first)));
            json!({ "made": made, "refused": refused })
        }
    })
}

/// Lists within lists, so deep.
pub(crate) fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

fn call_options() -> functions::CallOptions {
    functions::CallOptions { timeout_ms: None, target: None }
}

fn create(data: String) -> Result<u64, Error> {
    promises::create(&promises::Options { data: Some(data), timeout_ms: None, schema: None })
}

fn request(capability: &str, message: &str, timeout_ms: Option<u64>) -> Result<u64, Error> {
    bridge::send_request(capability, message, bridge::RequestOptions { timeout_ms })
}

fn recall(name: &str) -> Result<Value, Error> {
    Ok(match memo::recall(name)? {
        memo::Recollection::Remembered(value) => json!({ "remembered": value }),
        memo::Recollection::Compute(step) => json!({ "compute": step }),
    })
}

fn entry(entry: &files::Entry) -> Value {
    let kind = match entry.kind {
        files::FileKind::File => "file",
        files::FileKind::Directory => "directory",
        files::FileKind::Other => "other",
    };
    json!({ "name": entry.name, "kind": kind, "size": entry.size })
}

/// Bytes as text, or their number.
fn short(bytes: Vec<u8>) -> Value {
    if bytes.len() > 200 { json!(bytes.len()) } else { json!(String::from_utf8_lossy(&bytes)) }
}

fn code(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Denied => "denied",
        ErrorCode::Invalid => "invalid",
        ErrorCode::NotFound => "not-found",
        ErrorCode::TimedOut => "timed-out",
        ErrorCode::Canceled => "canceled",
        ErrorCode::LimitExceeded => "limit-exceeded",
        ErrorCode::InDoubt => "in-doubt",
        ErrorCode::Failed => "failed",
    }
}
