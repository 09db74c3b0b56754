//! Reads a store on a server.

use super::link::{execution_id, unexpected};
use super::segments;
use super::store::RemoteStore;
use super::{AT_ONCE, failed};
use async_trait::async_trait;
use everstep_store::invocation::{Beside, execution, execution_of};
use everstep_store::journal::{History, Standing};
use everstep_store::operation::{Operation, Page, Reply};
use everstep_store::record::{Promise, PromiseState, Schedule, Task, TaskState, tag};
use everstep_store::seam::View;
use everstep_store::{
    Error, Execution, ExecutionKey, Failure, FailureKind, Invocation, JournalPlace, Part, PendingPromise, Progress,
    Query, State,
};
use everstep_words::id::ExecutionId;
use everstep_words::trace::TraceContext;
use futures::future::ready;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeMap;

/// What stands for the key of an execution that has a journal: a server has none.
pub(super) const HAS_A_JOURNAL: ExecutionKey = ExecutionKey(0);

impl RemoteStore {
    /// An execution with what its journal says.
    pub(super) async fn whole(&self, promise: &Promise, task: &Task) -> Result<Option<Execution>, Error> {
        let Some(id) = execution_id(promise) else { return Ok(None) };
        let known = self.invocation(promise);
        // One that nobody has claimed yet has a journal if it is a fork.
        let has_none = task.version == 0 && self.link.promise(&segments::id(id.as_str(), 0)).await?.is_none();
        let standing =
            if has_none { Ok(None) } else { self.standing(&id, task.version, segments::length(&promise.value)).await };
        let standing = match standing {
            Ok(standing) => standing,
            // Whoever runs it reads its journal anew, and halts it.
            Err(Error::Foreign { .. } | Error::Corrupted { .. }) => known.as_ref().map(|invocation| Standing {
                component: None,
                policy: invocation.policy,
                seed: [0; 32],
                progress: Progress::default(),
            }),
            Err(error) => return Err(error),
        };
        let invocation = known.or_else(|| begun(promise, standing.as_ref()?));
        let Some(invocation) = invocation else { return Ok(None) };
        let beside = standing.map(|Standing { component, policy, seed, progress }| {
            let component = component.unwrap_or(invocation.component);
            Beside { key: HAS_A_JOURNAL, component, policy, seed, progress }
        });
        let mut found = execution_of(invocation, promise, task, beside)?;
        if let Some(Execution { state: State::Halted, progress: Progress { error: error @ None, .. }, .. }) = &mut found
        {
            *error = self.cause(&id, task.version).await?;
        }
        Ok(found)
    }

    /// What the journal of an execution says; `None` if it is empty.
    async fn standing(&self, id: &ExecutionId, version: u64, kept: u32) -> Result<Option<Standing>, Error> {
        let (journal, _) = segments::read(&self.link, id, version, kept).await?;
        let corrupted = |source: everstep_store::journal::Corrupted| Error::Corrupted {
            what: format!("the journal of {id}"),
            expected: source.expected,
            found: source.found,
        };
        Standing::of(&History::load(journal).map_err(corrupted)?).map_err(corrupted)
    }

    /// Whether the journal of an execution says that it halted, or cannot be read, and that it was not resumed since.
    async fn keeps_a_halt(&self, execution: &Execution) -> Result<bool, Error> {
        match self.standing(&execution.id, execution.attempts, 0).await {
            Ok(standing) => Ok(standing.is_some_and(|standing| standing.progress.error.is_some())),
            Err(Error::Foreign { .. } | Error::Corrupted { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The pending promises with these tags that are settled from outside, oldest first.
    async fn asked(&self, mut tags: BTreeMap<String, String>) -> Result<Vec<PendingPromise>, Error> {
        tags.insert(tag::EXTERNAL.to_owned(), "true".to_owned());
        let found = self.link.search(Some(PromiseState::Pending), tags).await?;
        let mut all: Vec<_> = found.iter().filter_map(PendingPromise::of).collect();
        all.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        Ok(all)
    }

    /// The executions with these tags, without what their journals say; and those that clients in other languages have started in the group
    /// of this host, once a worker has begun them.
    async fn executions(
        &self,
        state: Option<PromiseState>,
        mut tags: BTreeMap<String, String>,
    ) -> Result<Vec<Execution>, Error> {
        let mut of_group = tags.clone();
        of_group.insert(tag::TARGET.to_owned(), self.link.target.clone());
        tags.extend([Invocation::by_workers()]);
        let (mut promises, mut others) =
            tokio::try_join!(self.link.search(state, tags), self.link.search(state, of_group))?;
        others.retain(|promise| promise.is_call() && Invocation::of(promise).is_none());
        promises.extend(others);
        let found: Vec<Option<Execution>> = stream::iter(promises)
            .map(|promise| async move {
                let task = match promise.state {
                    PromiseState::Pending => self.link.task(&promise.id).await?,
                    _ => Some(Task {
                        id: promise.id.clone(),
                        state: TaskState::Fulfilled,
                        version: 1,
                        resumes: 0,
                        lease: None,
                    }),
                };
                match task {
                    Some(task) if Invocation::of(&promise).is_some() => execution(&promise, &task, None),
                    Some(task) => self.whole(&promise, &task).await,
                    None => Ok(None),
                }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// Whether an execution has halted, or was ended from outside or by its deadline, maybe after it had halted.
fn may_have_halted(execution: &Execution) -> bool {
    let is_late = |failure: &Failure| failure.kind == FailureKind::TimedOut;
    match execution.state {
        State::Halted | State::Canceled => true,
        State::Failed => execution.progress.error.as_ref().is_some_and(is_late),
        State::Pending | State::Running | State::Suspended | State::Completed => false,
    }
}

/// The call of a function by its name alone that some worker has begun: its journal says in which component, and under which policy.
fn begun(promise: &Promise, standing: &Standing) -> Option<Invocation> {
    let (function, args) = Invocation::called_by_others(promise)?;
    let trace = TraceContext::of_headers(&promise.param.headers);
    Some(Invocation { function, args, component: standing.component?, policy: standing.policy, trace })
}

#[async_trait]
impl View for RemoteStore {
    async fn execution(&self, id: &ExecutionId) -> Result<Option<Execution>, Error> {
        match self.link.look(id.as_str()).await? {
            Some((promise, Some(task))) => self.whole(&promise, &task).await,
            _ => Ok(None),
        }
    }

    async fn list(&self, query: &Query, limit: usize) -> Result<Part, Error> {
        let unfinished = !query.states.is_empty() && query.states.iter().all(|state| !state.is_final());
        let state = unfinished.then_some(PromiseState::Pending);
        let Part { executions, next } = Part::among(self.executions(state, BTreeMap::new()).await?, query, limit);
        // What their journals say is read for those of the page only.
        let whole = executions.into_iter().map(|listed| async move {
            let found = if listed.attempts > 0 { View::execution(self, &listed.id).await? } else { None };
            Ok::<_, Error>(found.unwrap_or(listed))
        });
        Ok(Part { executions: stream::iter(whole).buffered(AT_ONCE).try_collect().await?, next })
    }

    async fn halted_below(&self, id: &ExecutionId) -> Result<Vec<Execution>, Error> {
        let tags = BTreeMap::from([(tag::ORIGIN.to_owned(), self.link.client.origin(id.as_str()))]);
        let below = self.executions(None, tags).await?.into_iter();
        let halted = below.filter(|one| one.id != *id && one.id.is_within(id) && may_have_halted(one));
        let whole = halted.map(|halted| async move {
            if halted.state.is_final() && !self.keeps_a_halt(&halted).await? {
                return Ok(None);
            }
            let found = View::execution(self, &halted.id).await?;
            Ok::<_, Error>(Some(found.unwrap_or(halted)))
        });
        let found = stream::iter(whole).buffered(AT_ONCE).try_filter_map(|found| ready(Ok(found)));
        found.take(100).try_collect().await
    }

    async fn promise(&self, id: &str) -> Result<Option<(Promise, Option<Task>)>, Error> {
        self.link.look(id).await
    }

    async fn promises(&self) -> Result<Vec<PendingPromise>, Error> {
        self.asked(BTreeMap::new()).await
    }

    async fn promises_within(&self, id: &ExecutionId) -> Result<Vec<PendingPromise>, Error> {
        let of_root = BTreeMap::from([(tag::ORIGIN.to_owned(), self.link.client.origin(id.as_str()))]);
        let all = self.asked(of_root).await?;
        Ok(all.into_iter().filter(|promise| promise.id.execution.is_within(id)).collect())
    }

    async fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = Page { limit: Some(1000), cursor };
            let search = Operation::ScheduleSearch { tags: BTreeMap::new(), page };
            match self.link.client.operate(&search).await.map_err(failed)?.answer {
                Ok(Reply::Schedules(more, next)) => {
                    all.extend(more);
                    cursor = next;
                }
                answer => return Err(unexpected("schedule.search", &answer)),
            }
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    async fn journal_part(&self, execution: &Execution, at: JournalPlace) -> Result<(Vec<u8>, JournalPlace), Error> {
        let (part, segment) = segments::read_on(&self.link, &execution.id, at.segment).await?;
        let offset = at.offset + part.len();
        Ok((part, JournalPlace { segment, offset }))
    }
}
