//! Computations that a guest remembers across a crash. The step number is taken before the computation, which may make calls
//! of its own; the record comes after it.

use super::ruled::Ruled;
use super::state::diverged;
use super::step::{Arg, Step};
use super::{Bridge, Fault, State, Stop};
use crate::guest_error::{ErrorCode, GuestError};
use everstep_store::journal::Record;

/// What the journal knows of a computation.
pub(crate) enum Recollection {
    /// Its value.
    Remembered(String),
    /// Nothing; pass its value to `remember` with this number.
    Compute(u64),
}

/// The computations of a run.
#[derive(Clone, Copy)]
pub(crate) struct Memo<'b> {
    bridge: &'b Bridge,
}

const KIND: &str = "memo.remember";

/// Longest name of a computation, in bytes: it is kept until the value is known.
const LONGEST_NAME: usize = 512;

impl<'b> Memo<'b> {
    pub(super) fn new(bridge: &'b Bridge) -> Self {
        Self { bridge }
    }

    /// Takes a step for the computation `name` and returns its value, if it is known.
    pub(crate) fn recall(self, name: String) -> Result<Recollection, Fault> {
        if name.len() > LONGEST_NAME {
            let message = format!("the name of a computation has {} bytes, more than {LONGEST_NAME}", name.len());
            return Err(GuestError::new(ErrorCode::Invalid, message).into());
        }
        let mut state = self.bridge.state();
        state.steps.check_end()?;
        let number = state.steps.next();
        let args = arguments(&name);
        let step = step(&mut state, &name, &args);
        let found = match state.steps.peek_step(number)? {
            None => None,
            Some((Record::Step { call, outcome: Ok(value) }, next))
                if call.kind == KIND && call.args == step.digest().as_slice() =>
            {
                Some((String::from_utf8_lossy(&value).into_owned(), call.at_ms, next))
            }
            Some((record, _)) => return Err(Fault::Stop(diverged(number, &record, &step.describe(number)))),
        };
        let Some((value, at_ms, next)) = found else {
            if let Err(stop) = self.prepare(&mut state) {
                state.steps.give_back(number);
                return Err(stop.into());
            }
            state.budget.keep(kept(&name));
            state.steps.open_memo(number, name);
            return Ok(Recollection::Compute(number));
        };
        state.steps.pass_step(next, at_ms);
        Ok(Recollection::Remembered(value))
    }

    /// Takes the step of a computation whose value is not known. In a replay, recorded steps cannot exceed the limits,
    /// but computations that it begins and never ends can.
    fn prepare(self, state: &mut State) -> Result<(), Stop> {
        let limits = self.bridge.facts.limits();
        state.steps.take();
        if state.steps.peek()?.is_none() {
            self.bridge.go_live(state)?;
            return state.check_limits(limits);
        }
        state.check_steps(limits)?;
        state.budget.check_room(limits, 0)
    }

    /// Remembers the value of a computation.
    pub(crate) fn remember(self, number: u64, value: String) -> Result<(), Fault> {
        let (facts, mut state) = (&self.bridge.facts, self.bridge.state());
        if serde_json::from_str::<&serde_json::value::RawValue>(&value).is_err() {
            return Err(GuestError::new(ErrorCode::Invalid, "the value to remember is not JSON").into());
        }
        facts.fits_a_journal("the value to remember", value.len() as u64)?;
        let name = state.steps.close_memo(number).map_err(|inner| {
            let message = match inner {
                // A replay that remembers this one would not reach the inner one, and would count other steps.
                Some(inner) => format!("the computation {inner}, begun inside of {number}, is not remembered yet"),
                None => format!("{number} is no step that recall handed out"),
            };
            GuestError::new(ErrorCode::Invalid, message)
        })?;
        state.budget.free(kept(&name));
        let args = arguments(&name);
        let step = step(&mut state, &name, &args);
        if let Some((record, next)) = state.steps.peek()? {
            match &record {
                Record::Step { call, outcome: Ok(recorded) } if call.number == number && call.kind == KIND => {
                    if recorded.as_ref() != value.as_bytes() {
                        let attempted = format!("{} with another value", step.describe(number));
                        return Err(Fault::Stop(diverged(number, &record, &attempted)));
                    }
                }
                other => return Err(Fault::Stop(diverged(number, other, &step.describe(number)))),
            }
            state.steps.pass_taken(next);
            return Ok(());
        }
        self.bridge.go_live(&mut state)?;
        Ruled::ungranted(&step, number).record(facts, &mut state, Ok(value))??;
        Ok(())
    }
}

fn arguments(name: &str) -> [Arg<'_>; 1] {
    [Arg::of("name", name.as_bytes())]
}

fn step<'a>(state: &mut State, name: &'a str, args: &'a [Arg<'a>]) -> Step<'a> {
    let step = Step::ungranted(KIND, name, args);
    let digest = state.steps.memo_digest(name, || step.digest());
    Step { digest: Some(digest), ..step }
}

/// Bytes that an open computation takes beside the journal.
fn kept(name: &str) -> u64 {
    name.len() as u64 + 64
}
