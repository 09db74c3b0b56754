//! Compares the guest with its journal, record by record.

use super::super::approval::APPROVAL;
use super::super::{Divergence, Facts, Step, Stop, Value};
use super::State;
use crate::guest_error::{ErrorCode, GuestError};
use crate::json;
use everstep_store::journal::{Call, Corrupted, Outcome, Record};
use std::fmt::Write as _;

/// The journal's entry for the step that a guest begins.
pub(in crate::bridge) enum Found<T> {
    /// It is over: the outcome is known.
    Recorded(Result<T, GuestError>),
    /// It has begun; its outcome, if any, is a settlement.
    Called(u64),
    /// An approval was asked for; the step itself comes next.
    Approval(u64),
    /// Nothing: it is new.
    Nothing(u64),
}

impl State {
    /// Takes the next step number for `step` and looks it up in the journal.
    pub(in crate::bridge) fn take_step<T: Value>(&mut self, step: &Step<'_>) -> Result<Found<T>, Stop> {
        self.steps.check_end()?;
        let number = self.steps.next();
        let Some((record, next)) = self.steps.peek()? else {
            return Ok(Found::Nothing(self.steps.take()));
        };
        let (call, outcome) = match record {
            Record::Step { call, outcome } => (call, Some(outcome)),
            Record::Called { call, .. } => (call, None),
            other => return Err(diverged(number, &other, &step.describe(number))),
        };
        if call.kind == APPROVAL && call.number == number && call.args == step.approval_key() {
            let at_ms = call.at_ms;
            self.steps.pass_step(next, at_ms);
            return Ok(Found::Approval(number));
        }
        if call.number != number || call.kind != step.kind || call.args != step.digest().as_slice() {
            let recorded = describe_call(&call);
            return Err(Divergence { step: number, recorded, attempted: step.describe(number) }.into());
        }
        let begun = match outcome {
            None => Found::Called(number),
            Some(Err(error)) => Found::Recorded(Err(error)),
            Some(Ok(value)) => Found::Recorded(Ok(T::from_bytes(&value).ok_or_else(|| unreadable(number, step.kind))?)),
        };
        let at_ms = call.at_ms;
        if call.allowed {
            self.budget.count(call.rule, &step.grant, at_ms);
        }
        self.steps.pass_step(next, at_ms);
        Ok(begun)
    }

    /// The recorded outcome of a step that a guest blocked on; `None` if it was lost.
    pub(in crate::bridge) fn recorded_outcome<T: Value>(
        &self,
        number: u64,
        kind: &str,
    ) -> Result<Option<Result<T, GuestError>>, Stop> {
        match self.steps.settlement(number)? {
            None => Ok(None),
            Some((_, Err(error))) => Ok(Some(Err(error))),
            Some((_, Ok(value))) => Ok(Some(Ok(T::from_bytes(&value).ok_or_else(|| unreadable(number, kind))?))),
        }
    }

    /// The next recorded delivery of promises that the guest waits for; `None` when the guest has repeated
    /// everything.
    pub(in crate::bridge) fn take_delivery(
        &mut self,
        attempted: impl Fn() -> String,
        is_wanted: impl Fn(&u64) -> bool,
    ) -> Result<Option<Vec<u64>>, Stop> {
        let step = self.steps.next();
        let Some((record, next)) = self.steps.peek()? else {
            return Ok(None);
        };
        let Record::Delivered { at_ms, numbers } = record else {
            return Err(diverged(step, &record, &attempted()));
        };
        self.steps.pass(next);
        self.steps.tick(at_ms);
        let known = |number: &u64| self.promises.get(*number).is_some_and(|promise| promise.called);
        if !numbers.iter().all(|number| known(number) && is_wanted(number)) {
            return Err(
                Divergence { step, recorded: format!("delivery of {numbers:?}"), attempted: attempted() }.into()
            );
        }
        self.promises.mark_delivered(&numbers);
        Ok(Some(numbers))
    }

    /// Checks that no record is left when the guest ends in the way that `attempted` describes.
    pub(in crate::bridge) fn expect_end(&mut self, attempted: &str) -> Result<(), Stop> {
        let step = self.steps.next();
        match self.steps.peek()? {
            None => Ok(()),
            Some((record, _)) => Err(diverged(step, &record, attempted)),
        }
    }

    /// Takes the return of the function; a recorded return must be the same one.
    pub(in crate::bridge) fn take_return(
        &mut self,
        facts: &Facts,
        returned: Result<String, GuestError>,
    ) -> Result<Result<String, GuestError>, Stop> {
        let returned = self.checked(facts, returned);
        self.expect_return(&returned)?;
        Ok(returned)
    }

    /// Turns a result that is nested too deeply, or that the store cannot keep, into an error of the function: halting would not undo what
    /// it has done. A result that an earlier build has recorded stays.
    fn checked(&mut self, facts: &Facts, returned: Result<String, GuestError>) -> Result<String, GuestError> {
        match &returned {
            Ok(result) if !self.goes_on_with(&returned) => json::check_depth(result)
                .map_err(|error| GuestError::new(ErrorCode::Invalid, format!("the result is {error}")))
                .and_then(|()| facts.fits_the_store("the result", result.len() as u64))
                .and(returned),
            _ => returned,
        }
    }

    fn expect_return(&mut self, returned: &Result<String, GuestError>) -> Result<(), Stop> {
        let step = self.steps.next();
        match self.steps.peek()? {
            None => return Ok(()),
            Some((Record::Returned { outcome, .. }, next)) if is_return(&outcome, returned) => {
                self.steps.pass(next);
            }
            Some((record @ Record::Returned { .. }, _)) => {
                return Err(diverged(step, &record, "a return with another outcome"));
            }
            Some((record, _)) => return Err(diverged(step, &record, "the return of the function")),
        }
        self.steps.note_return();
        Ok(())
    }

    /// Whether the journal continues with this return of the function.
    fn goes_on_with(&mut self, returned: &Result<String, GuestError>) -> bool {
        matches!(self.steps.peek(), Ok(Some((Record::Returned { outcome, .. }, _))) if is_return(&outcome, returned))
    }
}

/// Whether an outcome is what the function returned: an error by what the guest knows of it.
fn is_return(outcome: &Outcome<'_>, returned: &Result<String, GuestError>) -> bool {
    match (outcome, returned) {
        (Ok(outcome), Ok(returned)) => **outcome == *returned.as_bytes(),
        (Err(outcome), Err(returned)) => (outcome.code, &outcome.message) == (returned.code, &returned.message),
        _ => false,
    }
}

/// A divergence between a record and an attempt.
pub(in crate::bridge) fn diverged(step: u64, record: &Record<'_>, attempted: &str) -> Stop {
    Divergence { step, recorded: describe(record), attempted: attempted.to_owned() }.into()
}

fn describe(record: &Record<'_>) -> String {
    match record {
        Record::Started(started) => format!("the start of {}", started.function),
        Record::Step { call, .. } | Record::Called { call, .. } => describe_call(call),
        Record::Settled { number, .. } => format!("the settlement of {number}"),
        Record::Delivered { numbers, .. } => format!("delivery of {numbers:?}"),
        Record::Returned { .. } => "the return of the function".into(),
        Record::Retried { number, .. } => format!("another attempt of {number}"),
        Record::Trapped(trapped) => format!("a trap after the checkpoint {}", trapped.checkpoint),
        Record::TakenOver { .. } => "another component".into(),
        Record::Halted { .. } => "why it halted".into(),
        Record::Used { .. } => "what it had used".into(),
    }
}

/// `7 files.read "/in/a.txt" (arguments 0a1b…)`
pub(in crate::bridge) fn describe_call(call: &Call<'_>) -> String {
    describe_parts(call.number, call.kind, &call.subject, call.args)
}

pub(in crate::bridge) fn describe_parts(number: u64, kind: &str, subject: &str, args: &[u8]) -> String {
    let mut text = format!("{number} {kind}");
    if !subject.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, " {subject:?}");
    }
    if !args.is_empty() {
        let _ = write!(text, " (arguments {})", hex::encode(&args[..args.len().min(8)]));
    }
    text
}

fn unreadable(number: u64, kind: &str) -> Stop {
    let expected = format!("an outcome of {kind}");
    Stop::Corrupted(Corrupted { offset: 0, expected, found: format!("other bytes in step {number}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest_error::Reason;
    use std::borrow::Cow;

    #[test]
    fn an_error_that_a_function_returned_under_an_earlier_format_is_the_one_that_it_returns_again() {
        let error = || GuestError::new(ErrorCode::Failed, "so");
        let recorded = Err(error().because(Reason::Unrecorded));
        assert!(is_return(&recorded, &Err(error())));
        assert!(!is_return(&recorded, &Err(GuestError::new(ErrorCode::Failed, "not so"))));
        assert!(!is_return(&recorded, &Err(GuestError::new(ErrorCode::Invalid, "so"))));
        assert!(!is_return(&recorded, &Ok("so".to_owned())));
        assert!(is_return(&Ok(Cow::Borrowed(b"so")), &Ok("so".to_owned())));
    }
}
