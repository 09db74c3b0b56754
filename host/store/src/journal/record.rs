//! The records of a journal, as FORMAT.md fixes them.

use super::Corrupted;
use super::codec::{self, Fields, Malformed};
use everstep_words::guest_error::{ErrorCode, GuestError, Reason};
use everstep_words::id::Digest;
use std::borrow::Cow;

/// The version that this build writes. It reads the earlier ones, which have fewer types of records, and errors without a reason.
pub const FORMAT: u64 = 3;
/// The first version that records which component continues an execution.
pub const NAMES_COMPONENTS: u64 = 2;
/// The first version under which a file that must be new is created by a step of its own.
pub const CREATES_FILES: u64 = 3;

/// One record, borrowed from the journal that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// The start of the execution.
    Started(Started<'a>),
    /// A step that was decided and completed at once.
    Step {
        /// The call.
        call: Call<'a>,
        /// Its outcome.
        outcome: Outcome<'a>,
    },
    /// A step whose outcome comes later.
    Called {
        /// The call.
        call: Call<'a>,
        /// The party that settles it.
        role: Role,
        /// Its deadline, in milliseconds since the Unix epoch.
        deadline_ms: Option<u64>,
    },
    /// The outcome of a step that was called.
    Settled {
        /// The number of the step.
        number: u64,
        /// The time, in milliseconds since the Unix epoch.
        at_ms: u64,
        /// The outcome.
        outcome: Outcome<'a>,
    },
    /// Outcomes were delivered to the guest, in this order.
    Delivered {
        /// The time, in milliseconds since the Unix epoch.
        at_ms: u64,
        /// The numbers of the steps.
        numbers: Vec<u64>,
    },
    /// The function returned.
    Returned {
        /// The time, in milliseconds since the Unix epoch.
        at_ms: u64,
        /// The outcome.
        outcome: Outcome<'a>,
    },
    /// An attempt failed before anything was sent, and another follows at `due_ms`.
    Retried {
        /// The number of the step.
        number: u64,
        /// The time, in milliseconds since the Unix epoch.
        at_ms: u64,
        /// When the next attempt is due, in milliseconds since the Unix epoch.
        due_ms: u64,
        /// The error of the attempt.
        reason: Cow<'a, str>,
    },
    /// A trap after which the guest resumes.
    Trapped(Trapped<'a>),
    /// Another component takes over the execution.
    TakenOver {
        /// The time, in milliseconds since the Unix epoch.
        at_ms: u64,
        /// The digest of the component.
        component: &'a [u8; 32],
    },
    /// The reason that the execution halts, or fails instead.
    Halted {
        /// The time, in milliseconds since the Unix epoch.
        at_ms: u64,
        /// The class of the failure, as a store keeps it.
        kind: Cow<'a, str>,
        /// The failure in words.
        message: Cow<'a, str>,
    },
    /// The CPU time that the execution has used so far.
    Used {
        /// The time, in milliseconds since the Unix epoch.
        at_ms: u64,
        /// CPU time in microseconds.
        cpu_us: u64,
    },
}

/// The guest trapped after a checkpoint, and resumes there; what it did in between is not repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trapped<'a> {
    /// The time, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The number of the checkpoint.
    pub checkpoint: u64,
    /// The number of the step after it.
    pub next: u64,
    /// Bytes shown so far.
    pub shown: u64,
    /// The quotas used so far, as JSON.
    pub usage: Cow<'a, [u8]>,
    /// The trap in words.
    pub cause: Cow<'a, str>,
}

/// The start of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started<'a> {
    /// The version of the following records; a written one has this build's.
    pub format: u64,
    /// The time, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The digest of the component.
    pub component: &'a [u8; 32],
    /// The digest of the policy.
    pub policy: &'a [u8; 32],
    /// The seed of its random numbers.
    pub seed: &'a [u8; 32],
    /// The digest of the arguments.
    pub args: &'a [u8; 32],
    /// The name of the function.
    pub function: &'a str,
}

/// A call, and the decision on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The number of the step.
    pub number: u64,
    /// The time, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The kind of step.
    pub kind: &'a str,
    /// The digest of the arguments: empty, or 16 bytes.
    pub args: &'a [u8],
    /// The subject, for people: a path, a URL, a name.
    pub subject: Cow<'a, str>,
    /// Whether the policy allowed it.
    pub allowed: bool,
    /// The id of the rule that decided, or empty.
    pub rule: &'a str,
}

/// A value whose meaning depends on the kind of step, or an error.
pub type Outcome<'a> = Result<Cow<'a, [u8]>, GuestError>;

/// The party that settles a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The guest blocks until the effect is over.
    Effect,
    /// The clock.
    Timer,
    /// A party outside.
    External,
    /// A capability.
    Request,
    /// A child execution.
    Child,
}

const CODES: [ErrorCode; 8] = [
    ErrorCode::Denied,
    ErrorCode::Invalid,
    ErrorCode::NotFound,
    ErrorCode::TimedOut,
    ErrorCode::Canceled,
    ErrorCode::LimitExceeded,
    ErrorCode::InDoubt,
    ErrorCode::Failed,
];

const REASONS: [Reason; 15] = [
    Reason::Other,
    Reason::Unrecorded,
    Reason::Address,
    Reason::NameServer,
    Reason::NameServerSilent,
    Reason::Refused,
    Reason::Unreachable,
    Reason::Unconnected,
    Reason::Lost,
    Reason::Certificate,
    Reason::Handshake,
    Reason::Silence,
    Reason::LargeRequest,
    Reason::LargeResponse,
    Reason::Concurrent,
];

const ROLES: [Role; 5] = [Role::Effect, Role::Timer, Role::External, Role::Request, Role::Child];

const STARTED: u8 = 1;
const STEP: u8 = 2;
const CALLED: u8 = 3;
const SETTLED: u8 = 4;
const DELIVERED: u8 = 5;
const RETURNED: u8 = 6;
const RETRIED: u8 = 7;
const TRAPPED: u8 = 8;
const TAKEN_OVER: u8 = 9;
const HALTED: u8 = 10;
const USED: u8 = 11;

impl<'a> Record<'a> {
    /// Appends the record as one frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        codec::frame(out, |out| self.put(out));
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Record::Started(started) => started.put(out),
            Record::Step { call, outcome } => {
                out.push(STEP);
                call.put(out);
                put_outcome(out, outcome);
            }
            Record::Called { call, role, deadline_ms } => {
                out.push(CALLED);
                call.put(out);
                out.push(*role as u8);
                codec::put_varint(out, deadline_ms.map_or(0, |deadline| deadline.saturating_add(1)));
            }
            Record::Settled { number, at_ms, outcome } => {
                out.push(SETTLED);
                codec::put_varint(out, *number);
                codec::put_varint(out, *at_ms);
                put_outcome(out, outcome);
            }
            Record::Delivered { at_ms, numbers } => {
                out.push(DELIVERED);
                codec::put_varint(out, *at_ms);
                codec::put_varint(out, numbers.len() as u64);
                numbers.iter().for_each(|number| codec::put_varint(out, *number));
            }
            Record::Returned { at_ms, outcome } => {
                out.push(RETURNED);
                codec::put_varint(out, *at_ms);
                put_outcome(out, outcome);
            }
            Record::Retried { number, at_ms, due_ms, reason } => {
                out.push(RETRIED);
                [number, at_ms, due_ms].into_iter().for_each(|field| codec::put_varint(out, *field));
                codec::put_bytes(out, reason.as_bytes());
            }
            Record::Trapped(trapped) => trapped.put(out),
            Record::TakenOver { at_ms, component } => {
                out.push(TAKEN_OVER);
                codec::put_varint(out, *at_ms);
                out.extend_from_slice(*component);
            }
            Record::Halted { at_ms, kind, message } => {
                out.push(HALTED);
                codec::put_varint(out, *at_ms);
                codec::put_bytes(out, kind.as_bytes());
                codec::put_bytes(out, message.as_bytes());
            }
            Record::Used { at_ms, cpu_us } => {
                out.push(USED);
                [at_ms, cpu_us].into_iter().for_each(|field| codec::put_varint(out, *field));
            }
        }
    }

    /// Reads the record whose frame starts at `offset`; the frame was checked before.
    pub fn decode(body: &'a [u8], offset: usize) -> Result<Self, Corrupted> {
        let found =
            || format!("a record of type {} and {} bytes", body.first().copied().unwrap_or_default(), body.len());
        Self::get(body).map_err(|Malformed(expected)| Corrupted { offset, expected: expected.into(), found: found() })
    }

    fn get(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(body);
        let record = match fields.byte()? {
            STARTED => Record::Started(Started::get(&mut fields)?),
            STEP => Record::Step { call: Call::get(&mut fields)?, outcome: get_outcome(&mut fields)? },
            CALLED => Record::Called {
                call: Call::get(&mut fields)?,
                role: *ROLES.get(usize::from(fields.byte()?)).ok_or(Malformed("a role from 0 to 4"))?,
                deadline_ms: fields.varint()?.checked_sub(1),
            },
            SETTLED => Record::Settled {
                number: fields.varint()?,
                at_ms: fields.varint()?,
                outcome: get_outcome(&mut fields)?,
            },
            DELIVERED => {
                let at_ms = fields.varint()?;
                let count = fields.varint()?;
                let numbers = (0..count).map(|_| fields.varint()).collect::<Result<_, _>>()?;
                Record::Delivered { at_ms, numbers }
            }
            RETURNED => Record::Returned { at_ms: fields.varint()?, outcome: get_outcome(&mut fields)? },
            RETRIED => Record::Retried {
                number: fields.varint()?,
                at_ms: fields.varint()?,
                due_ms: fields.varint()?,
                reason: Cow::Borrowed(fields.text()?),
            },
            TRAPPED => Record::Trapped(Trapped::get(&mut fields)?),
            TAKEN_OVER => Record::TakenOver { at_ms: fields.varint()?, component: fields.array()? },
            HALTED => Record::Halted {
                at_ms: fields.varint()?,
                kind: Cow::Borrowed(fields.text()?),
                message: Cow::Borrowed(fields.text()?),
            },
            USED => Record::Used { at_ms: fields.varint()?, cpu_us: fields.varint()? },
            _ => return Err(Malformed("a record type from 1 to 11")),
        };
        fields.end()?;
        Ok(record)
    }

    /// Whether a body holds a `called` record, without decoding it.
    pub(super) fn is_called(body: &[u8]) -> bool {
        body.first() == Some(&CALLED)
    }

    /// Whether a body is not an act of the guest, but about the outcome of a `called` step or about the execution; without
    /// decoding it.
    pub(super) fn is_aside(body: &[u8]) -> bool {
        matches!(body.first(), Some(&(SETTLED | RETRIED | TAKEN_OVER | HALTED | USED)))
    }

    /// Whether a body is a trap after which the guest resumes; without decoding it.
    pub(super) fn is_trapped(body: &[u8]) -> bool {
        body.first() == Some(&TRAPPED)
    }
}

impl Started<'_> {
    /// The component that the execution has begun with; `None` in a format in which another one may continue it without a record.
    pub(super) fn component(&self) -> Option<Digest> {
        (self.format >= NAMES_COMPONENTS).then_some(Digest(*self.component))
    }
}

impl<'a> Trapped<'a> {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(TRAPPED);
        [self.at_ms, self.checkpoint, self.next, self.shown]
            .into_iter()
            .for_each(|field| codec::put_varint(out, field));
        codec::put_bytes(out, &self.usage);
        codec::put_bytes(out, self.cause.as_bytes());
    }

    fn get(fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            at_ms: fields.varint()?,
            checkpoint: fields.varint()?,
            next: fields.varint()?,
            shown: fields.varint()?,
            usage: Cow::Borrowed(fields.bytes()?),
            cause: Cow::Borrowed(fields.text()?),
        })
    }
}

impl<'a> Started<'a> {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(STARTED);
        codec::put_varint(out, self.format);
        codec::put_varint(out, self.at_ms);
        for bytes in [self.component, self.policy, self.seed, self.args] {
            out.extend_from_slice(bytes);
        }
        codec::put_bytes(out, self.function.as_bytes());
    }

    fn get(fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        let format = fields.varint()?;
        if !(1..=FORMAT).contains(&format) {
            return Err(Malformed("journal format 1 to 3, the only ones that this build reads"));
        }
        Ok(Self {
            format,
            at_ms: fields.varint()?,
            component: fields.array()?,
            policy: fields.array()?,
            seed: fields.array()?,
            args: fields.array()?,
            function: fields.text()?,
        })
    }
}

impl<'a> Call<'a> {
    fn put(&self, out: &mut Vec<u8>) {
        codec::put_varint(out, self.number);
        codec::put_varint(out, self.at_ms);
        codec::put_bytes(out, self.kind.as_bytes());
        codec::put_bytes(out, self.args);
        codec::put_bytes(out, self.subject.as_bytes());
        out.push(u8::from(!self.allowed));
        codec::put_bytes(out, self.rule.as_bytes());
    }

    fn get(fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            number: fields.varint()?,
            at_ms: fields.varint()?,
            kind: fields.text()?,
            args: fields.bytes()?,
            subject: Cow::Borrowed(fields.text()?),
            allowed: match fields.byte()? {
                0 => true,
                1 => false,
                _ => return Err(Malformed("a verdict, 0 or 1")),
            },
            rule: fields.text()?,
        })
    }
}

fn put_outcome(out: &mut Vec<u8>, outcome: &Outcome<'_>) {
    match outcome {
        Ok(value) => {
            out.push(0);
            codec::put_bytes(out, value);
        }
        Err(error) => {
            out.push(2);
            let code = CODES.iter().position(|code| *code == error.code).unwrap_or(CODES.len() - 1);
            let reason = REASONS.iter().position(|reason| *reason == error.reason).unwrap_or_default();
            out.extend([code as u8, reason as u8]);
            codec::put_bytes(out, error.message.as_bytes());
        }
    }
}

fn get_outcome<'a>(fields: &mut Fields<'a>) -> Result<Outcome<'a>, Malformed> {
    match fields.byte()? {
        0 => Ok(Ok(Cow::Borrowed(fields.bytes()?))),
        kind @ (1 | 2) => {
            let code = *CODES.get(usize::from(fields.byte()?)).ok_or(Malformed("an error code from 0 to 7"))?;
            let reason = if kind == 1 { Reason::Unrecorded } else { get_reason(fields)? };
            Ok(Err(GuestError::new(code, fields.text()?).because(reason)))
        }
        _ => Err(Malformed("an outcome from 0 to 2")),
    }
}

fn get_reason(fields: &mut Fields<'_>) -> Result<Reason, Malformed> {
    REASONS.get(usize::from(fields.byte()?)).copied().ok_or(Malformed("a reason from 0 to 14"))
}
