//! Reads a store for people: executions, steps, output and open promises.

use super::Error;
use crate::bridge::Cells;
use crate::guest_error::{ErrorCode, GuestError};
use crate::id::{ExecutionId, PromiseId};
use crate::output::{Content, Output};
use everstep_store::embedded::Tables;
use everstep_store::journal::{Call, Corrupted, History, Outcome, Record, Standing, Trapped, records, whole_records};
use everstep_store::record::{Schedule, Task};
use everstep_store::seam::View;
use everstep_store::{Execution, FileStore, JournalPlace, PendingPromise, Query};
use serde::Serialize;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Reads a store; one in a folder also while a host has it open.
#[derive(Clone)]
pub struct Reader {
    store: Arc<dyn View>,
}

/// A list of executions that is read page by page.
pub struct Executions {
    store: Arc<dyn View>,
    /// The rest of the query; `None` at the end.
    query: Option<Query>,
    page: std::vec::IntoIter<Execution>,
}

/// Executions read at once.
const PAGE: usize = 256;

/// The output of an execution, read from its journal as far as that goes, and then as it grows.
pub struct Following {
    records: Records,
    cells: Cells,
}

/// The journal of an execution, read part by part.
struct Records {
    store: Arc<dyn View>,
    /// Read anew with each look until it has a journal, which it gets when a host first runs it.
    execution: Execution,
    at: JournalPlace,
    /// The beginning of a record that goes on there.
    begun: Vec<u8>,
}

/// The journal's entries for a step after the record of its call.
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
    /// Its subject.
    pub subject: String,
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// The rule that decided; empty for a step that needs no grant.
    pub rule: String,
    /// Its outcome.
    pub outcome: StepOutcome,
    /// When it was made, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// When its outcome was known, in milliseconds since the Unix epoch.
    pub settled_ms: Option<u64>,
    /// Attempts that failed before anything was sent, and were followed by another one.
    pub retries: u32,
}

/// The outcome of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum StepOutcome {
    /// None yet.
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
        Ok(Self::over(Arc::new(Tables::of(Arc::new(FileStore::read(dir)?)))))
    }

    pub(super) fn over(store: Arc<dyn View>) -> Self {
        Self { store }
    }

    /// The executions that match a query. They are read a few hundred at a time, so that a list of any length needs little memory.
    pub fn list(&self, query: Query) -> Executions {
        Executions { store: Arc::clone(&self.store), query: Some(query), page: Vec::new().into_iter() }
    }

    /// All executions, oldest first, in one list. For a store of any size, use [`list`](Self::list).
    ///
    /// # Errors
    /// The store failed.
    pub async fn executions(&self) -> Result<Vec<Execution>, Error> {
        let (mut executions, mut all) = (self.list(Query::default()), Vec::new());
        while let Some(execution) = executions.next().await? {
            all.push(execution);
        }
        Ok(all)
    }

    /// The executions called by `id`, directly or not, that have halted and were not resumed since: `id` waits for them in vain, or has
    /// done so. At most the first hundred, ordered by id.
    ///
    /// # Errors
    /// The store failed.
    pub async fn halted_below(&self, id: &ExecutionId) -> Result<Vec<Execution>, Error> {
        Ok(self.store.halted_below(id).await?)
    }

    /// One execution.
    ///
    /// # Errors
    /// There is no execution of that id, or the store failed.
    pub async fn execution(&self, id: &ExecutionId) -> Result<Execution, Error> {
        self.store.execution(id).await?.ok_or_else(|| Error::UnknownExecution(id.clone()))
    }

    /// The promises to be settled from outside, oldest first.
    ///
    /// # Errors
    /// The store failed.
    pub async fn promises(&self) -> Result<Vec<PendingPromise>, Error> {
        Ok(self.store.promises().await?)
    }

    /// The same, of an execution and of what it has called.
    ///
    /// # Errors
    /// The store failed.
    pub async fn promises_within(&self, id: &ExecutionId) -> Result<Vec<PendingPromise>, Error> {
        Ok(self.store.promises_within(id).await?)
    }

    /// The outcome of a promise of the store; `None` while it is pending, or if there is none.
    pub(crate) async fn outcome(&self, id: &PromiseId) -> Result<Option<Result<String, GuestError>>, Error> {
        let found = self.store.promise(&id.to_string()).await?;
        Ok(found.and_then(|(promise, _)| everstep_store::outcome_of(&promise)))
    }

    /// The question of a promise that is settled from outside, or was; `None` if there is none.
    pub(crate) async fn question(&self, id: &PromiseId) -> Result<Option<PendingPromise>, Error> {
        let found = self.store.promise(&id.to_string()).await?;
        Ok(found.and_then(|(promise, _)| PendingPromise::of(&promise)))
    }

    /// The task of an execution.
    ///
    /// # Errors
    /// There is no such execution, or the store failed.
    pub async fn task(&self, id: &ExecutionId) -> Result<Task, Error> {
        let found = self.store.promise(id.as_str()).await?.and_then(|(_, task)| task);
        found.ok_or_else(|| Error::UnknownExecution(id.clone()))
    }

    /// All schedules, ordered by id.
    ///
    /// # Errors
    /// The store failed.
    pub async fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        Ok(self.store.schedules().await?)
    }

    /// The journal of an execution, as `FORMAT.md` describes it.
    ///
    /// # Errors
    /// There is no such execution, or the store failed.
    pub async fn journal(&self, id: &ExecutionId) -> Result<Vec<u8>, Error> {
        let execution = self.execution(id).await?;
        let (mut journal, mut at) = (Vec::new(), JournalPlace::default());
        loop {
            let (part, next) = self.store.journal_part(&execution, at).await?;
            if part.is_empty() {
                return Ok(journal);
            }
            journal.extend(part);
            at = next;
        }
    }

    /// An execution as its promise and its journal alone describe it, without what the store keeps beside them: for a store that has lost
    /// that.
    ///
    /// # Errors
    /// There is no such execution, or its journal is corrupted or of a format that does not say enough.
    pub async fn recovered(&self, id: &ExecutionId) -> Result<Execution, Error> {
        let stored = self.execution(id).await?;
        let corrupted = |source| Error::Corrupted { id: id.clone(), source };
        let history = History::load(self.journal(id).await?).map_err(corrupted)?;
        let Some(standing) = Standing::of(&history).map_err(corrupted)? else { return Ok(stored) };
        let Standing { component, policy, seed, mut progress } = standing;
        if stored.state == everstep_store::State::Failed && progress.error.is_none() {
            // The error is the outcome of its promise.
            progress.error.clone_from(&stored.progress.error);
        }
        let component = component.unwrap_or(stored.component);
        Ok(Execution { component, policy, seed, progress, ..stored })
    }

    /// The steps of an execution in program order.
    ///
    /// # Errors
    /// There is no such execution, or its journal is corrupted.
    pub async fn steps(&self, id: &ExecutionId) -> Result<Vec<StepView>, Error> {
        let mut steps = Vec::new();
        let keep = |step| {
            steps.push(step);
            ControlFlow::Continue(())
        };
        self.each_step(id, keep).await?;
        Ok(steps)
    }

    /// Visits the steps of an execution in program order, until told to stop. Neither the steps nor the journal are held in memory, only
    /// the outcomes of steps that were settled after other records.
    ///
    /// # Errors
    /// There is no such execution, or its journal is corrupted.
    pub async fn each_step(
        &self,
        id: &ExecutionId,
        mut each: impl FnMut(StepView) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut later: HashMap<u64, Later> = HashMap::new();
        let note = |record: Record<'_>| {
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
        };
        self.records(id).await?.visit(note).await?;
        let tell = |record: Record<'_>| match record {
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
        };
        self.records(id).await?.visit(tell).await
    }

    /// How many steps an execution has recorded.
    ///
    /// # Errors
    /// There is no such execution, or its journal is corrupted.
    pub async fn count_steps(&self, id: &ExecutionId) -> Result<u64, Error> {
        let mut steps = 0;
        let count = |record: Record<'_>| {
            steps += u64::from(matches!(record, Record::Step { .. } | Record::Called { .. }));
            ControlFlow::Continue(())
        };
        self.records(id).await?.visit(count).await?;
        Ok(steps)
    }

    /// All the output of an execution, in order.
    ///
    /// # Errors
    /// There is no such execution, or its journal is corrupted.
    pub async fn output(&self, id: &ExecutionId) -> Result<Vec<Output>, Error> {
        let mut output = Vec::new();
        self.follow(id).await?.each(|piece| output.push(piece)).await?;
        Ok(output)
    }

    /// Follows the output of an execution, from the start on.
    ///
    /// # Errors
    /// There is no such execution, or the store failed.
    pub async fn follow(&self, id: &ExecutionId) -> Result<Following, Error> {
        Ok(Following { records: self.records(id).await?, cells: Cells::default() })
    }

    async fn records(&self, id: &ExecutionId) -> Result<Records, Error> {
        let (store, execution) = (Arc::clone(&self.store), self.execution(id).await?);
        Ok(Records { store, execution, at: JournalPlace::default(), begun: Vec::new() })
    }
}

impl Executions {
    /// The next execution; `None` at the end.
    ///
    /// # Errors
    /// The store failed.
    pub async fn next(&mut self) -> Result<Option<Execution>, Error> {
        loop {
            if let Some(execution) = self.page.next() {
                return Ok(Some(execution));
            }
            let Some(query) = &mut self.query else { return Ok(None) };
            let page = self.store.list(query, PAGE).await?;
            self.page = page.executions.into_iter();
            match page.next {
                Some(next) => query.after = Some(next),
                None => self.query = None,
            }
        }
    }
}

impl Following {
    /// Visits the output since the last look, in order.
    ///
    /// # Errors
    /// The journal is corrupted, or the store failed.
    pub async fn each(&mut self, mut each: impl FnMut(Output)) -> Result<(), Error> {
        let Self { records, cells } = self;
        let execution = records.execution.id.clone();
        let show = |record: Record<'_>| {
            match record {
                Record::Called { call, .. } => cells.note_call(call.kind, &call.subject, call.number),
                Record::Delivered { numbers, .. } => cells.note_delivery(&numbers),
                Record::Step { call, outcome: Ok(value) } if call.kind.starts_with("console.") => {
                    if let Ok(content) = serde_json::from_slice::<Content>(&value) {
                        let (execution, during) = (execution.clone(), cells.during());
                        each(Output { execution, step: call.number, content, during });
                    }
                }
                _ => {}
            }
            ControlFlow::Continue(())
        };
        records.visit(show).await
    }
}

impl Records {
    /// Visits the records that were written since the last look, in order, until told to stop.
    async fn visit(&mut self, mut each: impl FnMut(Record<'_>) -> ControlFlow<()>) -> Result<(), Error> {
        if self.execution.key.is_none()
            && let Some(execution) = self.store.execution(&self.execution.id).await?
        {
            // A host may have run it meanwhile.
            self.execution = execution;
        }
        loop {
            let (part, next) = self.store.journal_part(&self.execution, self.at).await?;
            let is_end = part.is_empty();
            if is_end && self.begun.is_empty() {
                return Ok(());
            }
            let (begun, before) = (self.begun.len(), self.at.offset - self.begun.len());
            self.begun.extend(part);
            // At the end nothing goes on: a record that is not whole is cut short.
            let whole = if is_end { self.begun.len() } else { whole_records(&self.begun) };
            let mut stopped = Ok(ControlFlow::Continue(()));
            for record in records(&self.begun[..whole]) {
                stopped = record.map(&mut each);
                if !matches!(stopped, Ok(ControlFlow::Continue(()))) {
                    break;
                }
            }
            match stopped {
                Ok(ControlFlow::Continue(())) => drop(self.begun.drain(..whole)),
                // The next look begins here again.
                stopped => {
                    self.begun.truncate(begun);
                    let id = self.execution.id.clone();
                    return stopped.map(|_| ()).map_err(|Corrupted { offset, expected, found }| Error::Corrupted {
                        id,
                        source: Corrupted { offset: before + offset, expected, found },
                    });
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
