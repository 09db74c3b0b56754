//! A store, read for people: executions, steps, output and open promises.

use super::Error;
use crate::guest_error::GuestError;
use crate::id::ExecutionId;
use crate::journal::{Call, History, Outcome, Record};
use crate::output::{Content, Output};
use crate::store::record::{Schedule, Task};
use crate::store::{Execution, FileStore, PendingPromise, Store};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// Reads a store; for a store in a folder also while a host has it.
#[derive(Clone)]
pub struct Reader {
    store: Arc<dyn Store>,
}

/// One step of an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepView {
    /// Its number.
    pub n: u64,
    /// The interface and function.
    pub kind: String,
    /// What it was about.
    pub subject: String,
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// The rule that decided; empty for a step that needs no grant.
    pub rule: String,
    /// What came of it.
    pub outcome: StepOutcome,
    /// When it was made, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// When its outcome was known, in milliseconds since the Unix epoch.
    pub settled_ms: Option<u64>,
    /// Attempts that failed before anything was sent, and were followed by another.
    pub retries: u32,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum StepOutcome {
    /// Nothing yet.
    Pending,
    /// A value of that many bytes.
    Ok {
        /// Its size in the journal.
        bytes: u64,
    },
    /// An error.
    Error {
        /// The error that the guest got.
        #[serde(flatten)]
        error: GuestError,
    },
}

impl Reader {
    /// Opens the store in a folder for reading.
    ///
    /// # Errors
    /// There is no store.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Ok(Self::over(Arc::new(FileStore::read(dir)?)))
    }

    pub(super) fn over(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// All executions, oldest first.
    ///
    /// # Errors
    /// The store failed.
    pub fn executions(&self) -> Result<Vec<Execution>, Error> {
        Ok(self.store.executions()?)
    }

    /// One execution.
    ///
    /// # Errors
    /// There is none of that id, or the store failed.
    pub fn execution(&self, id: &ExecutionId) -> Result<Execution, Error> {
        self.store.execution(id)?.ok_or_else(|| Error::UnknownExecution(id.clone()))
    }

    /// The promises that wait for somebody outside, oldest first.
    ///
    /// # Errors
    /// The store failed.
    pub fn promises(&self) -> Result<Vec<PendingPromise>, Error> {
        Ok(self.store.promises()?)
    }

    /// The task of an execution.
    ///
    /// # Errors
    /// There is no such execution, or the store failed.
    pub fn task(&self, id: &ExecutionId) -> Result<Task, Error> {
        let found = self.store.promise(id.as_str())?.and_then(|(_, task)| task);
        found.ok_or_else(|| Error::UnknownExecution(id.clone()))
    }

    /// All schedules, ordered by id.
    ///
    /// # Errors
    /// The store failed.
    pub fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        Ok(self.store.schedules()?)
    }

    /// The journal of an execution, as `FORMAT.md` describes it.
    ///
    /// # Errors
    /// There is no such execution, or the store failed.
    pub fn journal(&self, id: &ExecutionId) -> Result<Vec<u8>, Error> {
        match self.execution(id)?.key {
            Some(key) => Ok(self.store.journal(key)?.0),
            None => Ok(Vec::new()),
        }
    }

    /// The steps of an execution in program order.
    ///
    /// # Errors
    /// There is no such execution, or its journal is corrupted.
    pub fn steps(&self, id: &ExecutionId) -> Result<Vec<StepView>, Error> {
        let mut steps: Vec<StepView> = Vec::new();
        self.each_record(id, |record| match record {
            Record::Step { call, outcome } => {
                let at_ms = call.at_ms;
                steps.push(StepView::new(call, view(&outcome), Some(at_ms)));
            }
            Record::Called { call, .. } => steps.push(StepView::new(call, StepOutcome::Pending, None)),
            Record::Settled { number, at_ms, outcome } => {
                if let Some(step) = steps.iter_mut().rev().find(|step| step.n == number) {
                    step.outcome = view(&outcome);
                    step.settled_ms = Some(at_ms);
                }
            }
            Record::Retried { number, .. } => {
                if let Some(step) = steps.iter_mut().rev().find(|step| step.n == number) {
                    step.retries += 1;
                }
            }
            Record::Started(_) | Record::Delivered { .. } | Record::Returned { .. } => {}
        })?;
        Ok(steps)
    }

    /// Everything that an execution has shown, in order.
    ///
    /// # Errors
    /// There is no such execution, or its journal is corrupted.
    pub fn output(&self, id: &ExecutionId) -> Result<Vec<Output>, Error> {
        let mut output = Vec::new();
        self.each_record(id, |record| {
            if let Record::Step { call, outcome: Ok(value) } = record
                && call.kind.starts_with("console.")
                && let Ok(content) = serde_json::from_slice::<Content>(&value)
            {
                output.push(Output { execution: id.clone(), step: call.number, content });
            }
        })?;
        Ok(output)
    }

    fn each_record(&self, id: &ExecutionId, mut each: impl FnMut(Record<'_>)) -> Result<(), Error> {
        let corrupted = |source| Error::Corrupted { id: id.clone(), source };
        let history = History::load(self.journal(id)?).map_err(corrupted)?;
        for record in history.records() {
            each(record.map_err(corrupted)?);
        }
        Ok(())
    }
}

impl StepView {
    fn new(call: Call<'_>, outcome: StepOutcome, settled_ms: Option<u64>) -> Self {
        Self {
            n: call.number,
            kind: call.kind.to_owned(),
            subject: call.subject.into_owned(),
            decision: if call.allowed { "allow" } else { "deny" },
            rule: call.rule.to_owned(),
            outcome,
            at_ms: call.at_ms,
            settled_ms,
            retries: 0,
        }
    }
}

fn view(outcome: &Outcome<'_>) -> StepOutcome {
    match outcome {
        Ok(value) => StepOutcome::Ok { bytes: value.len() as u64 },
        Err(error) => StepOutcome::Error { error: error.clone() },
    }
}
