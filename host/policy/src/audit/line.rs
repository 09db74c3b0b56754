//! The format of a line, for writing and reading.

use crate::escaped;
use everstep_words::id::{Digest, ExecutionId};
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;

/// One decision.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The time, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The execution that made the call.
    pub execution: &'a ExecutionId,
    /// The number of the step.
    pub step: u64,
    /// The digest of the policy that decided.
    pub policy: &'a Digest,
    /// The rule that decided.
    pub rule: &'a str,
    /// The interface and function that was called, such as `files.read`.
    pub capability: &'a str,
    /// The subject of the call, as the guest gave it; see `Call::subject`. Escaped and capped here.
    pub subject: &'a str,
    /// The decision.
    pub decision: Decision,
    /// Size of the payload, in bytes.
    pub bytes: u64,
    /// The person who approved or refused the call, if one was asked. Escaped and capped here.
    pub approver: Option<&'a str>,
}

/// A decision on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The call proceeds.
    Allow,
    /// The guest gets an error.
    Deny,
    /// An approver is asked.
    Ask,
}

/// The outcome of an effect that the policy had allowed.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// When it was over, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The execution that made the call.
    pub execution: &'a ExecutionId,
    /// The number of the step.
    pub step: u64,
    /// The digest of the policy that allowed it.
    pub policy: &'a Digest,
    /// The address that was connected to, if one was.
    pub address: Option<SocketAddr>,
    /// Size of the response, in bytes.
    pub bytes: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The result in one word, such as `ok` or `failed`. Escaped and capped here.
    pub result: &'a str,
}

/// A readable line of the log; missing fields are empty, 0 or `None`.
///
/// All texts are as in the log: escaped and capped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Line {
    /// The time, in RFC 3339.
    pub time: String,
    /// The number of the line in its chain.
    pub sequence: u64,
    /// The hash of the lines before it, 64 hex digits.
    pub previous: String,
    /// The short name of the decision, 8 hex digits; an outcome has that of its decision.
    pub id: String,
    /// The execution that made the call.
    pub execution: String,
    /// The number of the step.
    pub step: u64,
    /// The digest of the policy, `sha256:...`.
    pub policy: String,
    /// The rule that decided.
    pub rule: String,
    /// The interface and function that was called.
    pub capability: String,
    /// The subject of the call.
    pub subject: String,
    /// `allow`, `deny` or `ask`; `outcome`, or `link` in the first line of a file that continues another.
    pub decision: String,
    /// Size of the payload, or of the response.
    pub bytes: u64,
    /// The person who approved or refused the call.
    pub approver: Option<String>,
    /// The address that was connected to.
    pub address: Option<String>,
    /// How long the effect took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// The result of the effect.
    pub result: Option<String>,
}

impl Line {
    /// `None` if `bytes`, without a newline, are not a line of a log.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        Joint::parse(bytes)?;
        serde_json::from_slice(bytes).ok()
    }
}

/// The part of a line that links the chain.
pub(super) struct Joint {
    pub(super) sequence: u64,
    /// The hash of the lines before it.
    pub(super) previous: [u8; 32],
    /// Whether it is the first line of a file that continues another.
    pub(super) is_link: bool,
}

/// The longest line that is accepted, in bytes: longer than any that is written.
pub(super) const LONGEST: usize = 64 << 10;

impl Joint {
    /// `None` if `bytes`, without a newline, are not a line of a log.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Shape<'a> {
            sequence: u64,
            #[serde(borrow)]
            previous: Cow<'a, str>,
            #[serde(borrow)]
            decision: Cow<'a, str>,
        }
        if bytes.len() > LONGEST {
            return None;
        }
        let shape: Shape<'_> = serde_json::from_slice(bytes).ok()?;
        let mut previous = [0; 32];
        hex::decode_to_slice(shape.previous.as_bytes(), &mut previous).ok()?;
        Some(Self { sequence: shape.sequence, previous, is_link: shape.decision == LINK })
    }
}

/// Replaces the decision in a line that continues another file.
const LINK: &str = "link";

/// Replaces the decision in the line of an outcome.
pub(super) const OUTCOME: &str = "outcome";

/// The end of a line: a checksum (CRC-32) of everything before it.
const CHECK: &str = r#","check":""#;
const END: &str = r#""}"#;
const CHECK_LENGTH: usize = CHECK.len() + 8 + END.len();

/// Whether the checksum at the end of a line is right.
pub(super) fn is_intact(bytes: &[u8]) -> bool {
    let Some((body, check)) = bytes.len().checked_sub(CHECK_LENGTH).and_then(|middle| bytes.split_at_checked(middle))
    else {
        return false;
    };
    let mut expected = String::with_capacity(CHECK_LENGTH);
    push_check(&mut expected, crc32fast::hash(body));
    check == expected.as_bytes()
}

/// The time of a line, as it is written.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    time_ms: Option<u64>,
    text: String,
}

impl Stamp {
    /// The text of a time in milliseconds since the Unix epoch; that of the last one is kept.
    fn of(&mut self, time_ms: u64) -> &str {
        if self.time_ms.replace(time_ms) != Some(time_ms) {
            let time = i64::try_from(time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
            self.text.clear();
            push(&mut self.text, format_args!("{:.3}", time.unwrap_or(jiff::Timestamp::MAX)));
        }
        &self.text
    }
}

/// A digest, as it is written.
#[derive(Debug, Default)]
pub(super) struct Digits {
    digest: Option<Digest>,
    text: String,
}

impl Digits {
    /// The hex digits of a digest; those of the last one are kept.
    fn of(&mut self, digest: &Digest) -> &str {
        if self.digest.replace(*digest) != Some(*digest) {
            self.text.clear();
            push_hex::<64>(&mut self.text, &digest.0);
        }
        &self.text
    }
}

/// Begins a line: time, number, hash.
pub(super) fn push_head(line: &mut String, stamp: &mut Stamp, time_ms: u64, sequence: u64, previous: &[u8; 32]) {
    line.push_str(r#"{"time":""#);
    line.push_str(stamp.of(time_ms));
    line.push_str(r#"","sequence":"#);
    push_number(line, sequence);
    line.push_str(r#","previous":""#);
    push_hex::<64>(line, previous);
    line.push_str(r#"","#);
}

/// Ends the line that begins at `start`.
pub(super) fn push_end(line: &mut String, start: usize) {
    let check = crc32fast::hash(&line.as_bytes()[start..]);
    push_check(line, check);
}

fn push_check(end: &mut String, check: u32) {
    end.push_str(CHECK);
    push_hex::<8>(end, &check.to_be_bytes());
    end.push_str(END);
}

/// Writes the fields of a decision.
pub(super) fn push_entry(line: &mut String, digits: &mut Digits, entry: &Entry<'_>) {
    push_step(line, entry.execution, entry.step, digits.of(entry.policy));
    for (key, text) in
        [(r#""rule":"#, entry.rule), (r#","capability":"#, entry.capability), (r#","subject":"#, entry.subject)]
    {
        line.push_str(key);
        push_text(line, text);
    }
    line.push_str(r#","decision":""#);
    line.push_str(entry.decision.name());
    line.push_str(r#"","bytes":"#);
    push_number(line, entry.bytes);
    if let Some(approver) = entry.approver {
        line.push_str(r#","approver":"#);
        push_text(line, approver);
    }
}

/// Writes the fields of an outcome.
pub(super) fn push_outcome(line: &mut String, digits: &mut Digits, outcome: &Outcome<'_>) {
    push_step(line, outcome.execution, outcome.step, digits.of(outcome.policy));
    let Outcome { address, bytes, duration_ms, result, .. } = outcome;
    push(line, format_args!(r#""decision":"{OUTCOME}","#));
    if let Some(address) = address {
        push(line, format_args!(r#""address":"{address}","#));
    }
    push(line, format_args!(r#""bytes":{bytes},"duration_ms":{duration_ms},"result":"#));
    push_text(line, result);
}

/// Writes the fields of the first line of a file that continues another: where that one ended.
pub(super) fn push_link(line: &mut String, sequence: u64) {
    push(line, format_args!(r#""decision":"{LINK}","after":{}"#, sequence.saturating_sub(1)));
}

fn push_step(line: &mut String, execution: &ExecutionId, step: u64, policy: &str) {
    line.push_str(r#""id":""#);
    push_hex::<8>(line, &id_bytes(execution, step));
    line.push_str(r#"","execution":""#);
    line.push_str(execution.as_str());
    line.push_str(r#"","step":"#);
    push_number(line, step);
    line.push_str(r#","policy":"sha256:"#);
    line.push_str(policy);
    line.push_str(r#"","#);
}

pub(super) fn id_bytes(execution: &ExecutionId, step: u64) -> [u8; 4] {
    let mut named = Vec::with_capacity(execution.as_str().len() + 8);
    named.extend_from_slice(execution.as_str().as_bytes());
    named.extend_from_slice(&step.to_le_bytes());
    let [a, b, c, d, ..] = *blake3::hash(&named).as_bytes();
    [a, b, c, d]
}

fn push(line: &mut String, what: fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = line.write_fmt(what);
}

fn push_number(line: &mut String, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len() - 1;
    loop {
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
        start -= 1;
    }
    line.push_str(std::str::from_utf8(&digits[start..]).unwrap_or_default());
}

/// Writes bytes as `DIGITS` hex digits, two for each.
fn push_hex<const DIGITS: usize>(line: &mut String, bytes: &[u8]) {
    let mut digits = [b'0'; DIGITS];
    // Fails only for another number of bytes.
    let _ = hex::encode_to_slice(bytes, &mut digits);
    line.push_str(std::str::from_utf8(&digits).unwrap_or_default());
}

/// Writes a text, escaped and capped, as a JSON string.
fn push_text(line: &mut String, text: &str) {
    match escaped(text) {
        // Holds neither quotes nor backslashes.
        Cow::Borrowed(plain) => {
            line.push('"');
            line.push_str(plain);
            line.push('"');
        }
        Cow::Owned(text) => push(line, format_args!("{}", Json(&text))),
    }
}

/// A text without control characters, as a JSON string.
struct Json<'a>(&'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut rest = self.0;
        while let Some(place) = rest.find(['"', '\\']) {
            let (plain, special) = rest.split_at(place);
            f.write_str(plain)?;
            f.write_char('\\')?;
            f.write_str(&special[..1])?;
            rest = &special[1..];
        }
        f.write_str(rest)?;
        f.write_char('"')
    }
}

impl Decision {
    fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
