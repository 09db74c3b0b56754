//! A store, read for people: executions, steps, output and open promises.

use super::Error;
use crate::guest_error::{ErrorCode, GuestError};
use crate::id::{ExecutionId, PromiseId};
use crate::output::{Content, Output};
use everstep_store::journal::{Call, Corrupted, History, Outcome, Record, Standing, Trapped, records};
use everstep_store::record::{Schedule, Task};
use everstep_store::{Backend, Execution, ExecutionKey, FileStore, JournalPlace, PendingPromise, Query};
use serde::Serialize;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Reads a store; for a store in a folder also while a host has it.
#[derive(Clone)]
pub struct Reader {
    store: Arc<dyn Backend>,
}

/// A list of executions that is read as it is taken.
pub struct Executions {
    store: Arc<dyn Backend>,
    /// What is still to be read; none at the end.
    query: Option<Query>,
    page: std::vec::IntoIter<Execution>,
}

/// Executions read at once.
const PAGE: usize = 256;

/// What an execution shows, read from its journal as far as that goes, and then what is new.
pub struct Following(Records);

/// The journal of an execution, read part by part.
struct Records {
    store: Arc<dyn Backend>,
    id: ExecutionId,
    /// None until a host has taken the execution up.
    key: Option<ExecutionKey>,
    at: JournalPlace,
}

/// What the journal says of a step after the record of its call.
#[derive(Default)]
struct Later {
    settled: Option<(u64, StepOutcome)>,
    retries: u32,
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

    pub(super) fn over(store: Arc<dyn Backend>) -> Self {
        Self { store }
    }

    /// The executions that a query asks for. They are read as they are taken, a few hundred at a time, so that a list of any length
    /// needs little memory.
    pub fn list(&self, query: Query) -> Executions {
        Executions { store: Arc::clone(&self.store), query: Some(query), page: Vec::new().into_iter() }
    }

    /// All executions at once, oldest first.
    ///
    /// # Errors
    /// The store failed.
    pub fn executions(&self) -> Result<Vec<Execution>, Error> {
        Ok(self.store.executions()?)
    }

    /// The executions that one has called, directly or not, and that have halted and were not resumed since: what it waits for in vain, or
    /// has waited for. At most the first hundred of them, by their ids.
    ///
    /// # Errors
    /// The store failed.
    pub fn halted_below(&self, id: &ExecutionId) -> Result<Vec<Execution>, Error> {
        Ok(self.store.halted_below(id)?)
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

    /// How a promise of the store was settled; none while it is pending, or if there is none.
    pub(crate) fn outcome(&self, id: &PromiseId) -> Result<Option<Result<String, GuestError>>, Error> {
        let found = self.store.promise(&id.to_string())?;
        Ok(found.and_then(|(promise, _)| everstep_store::outcome_of(&promise)))
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

    /// An execution as its promise and its journal alone tell it, without what the store keeps beside them: for a store in which that is lost.
    ///
    /// # Errors
    /// There is no such execution, or its journal is corrupted or of a format that does not say enough.
    pub fn recovered(&self, id: &ExecutionId) -> Result<Execution, Error> {
        let stored = self.execution(id)?;
        let corrupted = |source| Error::Corrupted { id: id.clone(), source };
        let history = History::load(self.journal(id)?).map_err(corrupted)?;
        let Some(standing) = Standing::of(&history).map_err(corrupted)? else { return Ok(stored) };
        let Standing { component, policy, seed, mut progress } = standing;
        if stored.state == everstep_store::State::Failed && progress.error.is_none() {
            // It is the outcome of its promise.
            progress.error.clone_from(&stored.progress.error);
        }
        let component = component.unwrap_or(stored.component);
        Ok(Execution { component, policy, seed, progress, ..stored })
    }

    /// The steps of an execution in program order.
    ///
    /// # Errors
    /// There is no such execution, or its journal is corrupted.
    pub fn steps(&self, id: &ExecutionId) -> Result<Vec<StepView>, Error> {
        let mut steps = Vec::new();
        self.each_step(id, |step| {
            steps.push(step);
            ControlFlow::Continue(())
        })?;
        Ok(steps)
    }

    /// Visits the steps of an execution in program order, until told to stop. Neither the steps nor the journal are held in memory, but what
    /// came of steps that were settled after other records.
    ///
    /// # Errors
    /// There is no such execution, or its journal is corrupted.
    pub fn each_step(&self, id: &ExecutionId, mut each: impl FnMut(StepView) -> ControlFlow<()>) -> Result<(), Error> {
        let mut later: HashMap<u64, Later> = HashMap::new();
        self.records(id)?.visit(|record| {
            match record {
                Record::Settled { number, at_ms, outcome } => {
                    later.entry(number).or_default().settled = Some((at_ms, view(&outcome)));
                }
                Record::Retried { number, .. } => later.entry(number).or_default().retries += 1,
                Record::Trapped(Trapped { at_ms, checkpoint, cause, .. }) => {
                    let error = GuestError::new(ErrorCode::Failed, cause);
                    later.entry(checkpoint).or_default().settled = Some((at_ms, StepOutcome::Error { error }));
                }
                Record::Step { .. }
                | Record::Called { .. }
                | Record::Started(_)
                | Record::Delivered { .. }
                | Record::Returned { .. }
                | Record::TakenOver { .. }
                | Record::Halted { .. }
                | Record::Used { .. } => {}
            }
            ControlFlow::Continue(())
        })?;
        self.records(id)?.visit(|record| match record {
            Record::Step { call, outcome } => {
                let settled = (call.at_ms, view(&outcome));
                let later = later.remove(&call.number).unwrap_or_default();
                each(StepView::new(call, Later { settled: later.settled.or(Some(settled)), ..later }))
            }
            Record::Called { call, .. } => {
                let later = later.remove(&call.number).unwrap_or_default();
                each(StepView::new(call, later))
            }
            Record::Settled { .. }
            | Record::Retried { .. }
            | Record::Trapped(_)
            | Record::Started(_)
            | Record::Delivered { .. }
            | Record::Returned { .. }
            | Record::TakenOver { .. }
            | Record::Halted { .. }
            | Record::Used { .. } => ControlFlow::Continue(()),
        })
    }

    /// How many steps an execution has recorded.
    ///
    /// # Errors
    /// There is no such execution, or its journal is corrupted.
    pub fn count_steps(&self, id: &ExecutionId) -> Result<u64, Error> {
        let mut steps = 0;
        self.records(id)?.visit(|record| {
            steps += u64::from(matches!(record, Record::Step { .. } | Record::Called { .. }));
            ControlFlow::Continue(())
        })?;
        Ok(steps)
    }

    /// Everything that an execution has shown, in order.
    ///
    /// # Errors
    /// There is no such execution, or its journal is corrupted.
    pub fn output(&self, id: &ExecutionId) -> Result<Vec<Output>, Error> {
        let mut output = Vec::new();
        self.follow(id)?.each(|piece| output.push(piece))?;
        Ok(output)
    }

    /// Reads what an execution shows, from the start on.
    ///
    /// # Errors
    /// There is no such execution, or the store failed.
    pub fn follow(&self, id: &ExecutionId) -> Result<Following, Error> {
        self.records(id).map(Following)
    }

    fn records(&self, id: &ExecutionId) -> Result<Records, Error> {
        let (store, key) = (Arc::clone(&self.store), self.execution(id)?.key);
        Ok(Records { store, id: id.clone(), key, at: JournalPlace::default() })
    }
}

impl Iterator for Executions {
    type Item = Result<Execution, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(execution) = self.page.next() {
                return Some(Ok(execution));
            }
            let query = self.query.take()?;
            match self.store.list(&query, PAGE) {
                Ok(page) => {
                    self.page = page.executions.into_iter();
                    self.query = page.next.map(|next| Query { after: Some(next), ..query });
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

impl Following {
    /// Visits what was shown since the last look, in order.
    ///
    /// # Errors
    /// The journal is corrupted, or the store failed.
    pub fn each(&mut self, mut each: impl FnMut(Output)) -> Result<(), Error> {
        let execution = self.0.id.clone();
        self.0.visit(|record| {
            if let Record::Step { call, outcome: Ok(value) } = record
                && call.kind.starts_with("console.")
                && let Ok(content) = serde_json::from_slice::<Content>(&value)
            {
                each(Output { execution: execution.clone(), step: call.number, content });
            }
            ControlFlow::Continue(())
        })
    }
}

impl Records {
    /// Visits the records that were written since the last look, in order, until told to stop.
    fn visit(&mut self, mut each: impl FnMut(Record<'_>) -> ControlFlow<()>) -> Result<(), Error> {
        if self.key.is_none() {
            // A host may have taken it up meanwhile.
            self.key = self.store.execution(&self.id)?.and_then(|execution| execution.key);
        }
        let Some(key) = self.key else { return Ok(()) };
        loop {
            let (part, next) = self.store.journal_part(key, self.at)?;
            if part.is_empty() {
                return Ok(());
            }
            let before = self.at.offset;
            let corrupted = |mut source: Corrupted| {
                source.offset += before;
                Error::Corrupted { id: self.id.clone(), source }
            };
            for record in records(&part) {
                if each(record.map_err(corrupted)?).is_break() {
                    return Ok(());
                }
            }
            self.at = next;
        }
    }
}

impl StepView {
    fn new(call: Call<'_>, later: Later) -> Self {
        let (settled_ms, outcome) = match later.settled {
            Some((settled_ms, outcome)) => (Some(settled_ms), outcome),
            None => (None, StepOutcome::Pending),
        };
        Self {
            n: call.number,
            kind: call.kind.to_owned(),
            subject: call.subject.into_owned(),
            decision: if call.allowed { "allow" } else { "deny" },
            rule: call.rule.to_owned(),
            outcome,
            at_ms: call.at_ms,
            settled_ms,
            retries: later.retries,
        }
    }
}

fn view(outcome: &Outcome<'_>) -> StepOutcome {
    match outcome {
        Ok(value) => StepOutcome::Ok { bytes: value.len() as u64 },
        Err(error) => StepOutcome::Error { error: error.clone() },
    }
}
