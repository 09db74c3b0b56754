//! Which executions are listed, in which order, and page by page.

use super::record::{NEVER, PromiseState, TaskState};
use super::{Execution, State};
use everstep_words::id::ExecutionId;

/// Which executions are listed, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Only executions in one of these states; empty: all states.
    pub states: Vec<State>,
    /// Only executions of this function.
    pub function: Option<String>,
    /// Only executions created at this time or later, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// The order by creation time; executions of the same millisecond are ordered by id.
    pub order: Order,
    /// Only executions after this place in that order.
    pub after: Option<Place>,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By creation time.
    #[default]
    OldestFirst,
    /// The reverse.
    NewestFirst,
}

/// A place in a list of executions. It stays the same when executions change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub(super) created_ms: u64,
    pub(super) id: String,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The executions; there may be fewer than requested although more follow.
    pub executions: Vec<Execution>,
    /// Where the next part begins; `None` at the end of the list.
    pub next: Option<Place>,
}

impl Query {
    /// All executions that have not ended, oldest first.
    pub fn unfinished() -> Self {
        Self { states: State::ALL.into_iter().filter(|state| !state.is_final()).collect(), ..Self::default() }
    }

    /// All executions, newest first.
    pub fn newest_first() -> Self {
        Self { order: Order::NewestFirst, ..Self::default() }
    }

    /// Whether the list contains an execution.
    pub(super) fn holds(&self, execution: &Execution) -> bool {
        let ((low, high), place) = (self.range(), Place::of(execution));
        (self.states.is_empty() || self.states.contains(&execution.state))
            && self.function.as_ref().is_none_or(|function| *function == execution.function)
            && low < place
            && place < high
    }

    /// The places between which the list is.
    pub(super) fn range(&self) -> (Place, Place) {
        // Ids are never empty, so this is before everything of that time; and nothing is created at the end of time.
        let start = |created_ms: u64| Place { created_ms: created_ms.min(NEVER), id: String::new() };
        let (since, end) = (start(self.since_ms.unwrap_or(0)), start(NEVER));
        match (&self.after, self.order) {
            (None, _) => (since, end),
            (Some(after), Order::OldestFirst) => (since.max(after.clone()), end),
            (Some(after), Order::NewestFirst) => (since, after.clone()),
        }
    }

    /// The states of the promises and tasks of the listed executions.
    pub(super) fn standings(&self) -> impl Iterator<Item = (PromiseState, TaskState)> {
        let states = if self.states.is_empty() { &State::ALL[..] } else { &self.states };
        let wanted = |state: &State| states.contains(state);
        State::ALL.into_iter().filter(wanted).flat_map(State::standings).copied()
    }
}

impl Order {
    /// Sorts entries from several places into this order, up to a limit.
    pub(super) fn merge<T>(self, mut found: Vec<(Place, T)>, limit: usize) -> Vec<(Place, T)> {
        found.sort_unstable_by(|(a, _), (b, _)| match self {
            Self::OldestFirst => a.cmp(b),
            Self::NewestFirst => b.cmp(a),
        });
        found.truncate(limit);
        found
    }
}

impl Place {
    /// The place of an execution.
    pub fn of(execution: &Execution) -> Self {
        Self { created_ms: execution.created_ms, id: execution.id.to_string() }
    }

    /// The place of an execution that was created at `created_ms`, in milliseconds since the Unix epoch.
    pub fn at(created_ms: u64, id: &ExecutionId) -> Self {
        Self { created_ms, id: id.to_string() }
    }
}

impl Part {
    /// The page that a query selects from all executions.
    pub fn among(all: Vec<Execution>, query: &Query, limit: usize) -> Self {
        let found = all.into_iter().filter(|execution| query.holds(execution));
        let found = query.order.merge(found.map(|execution| (Place::of(&execution), execution)).collect(), limit);
        let next = Self::next(&found, limit);
        Self { executions: found.into_iter().map(|(_, execution)| execution).collect(), next }
    }

    /// Where a list continues after a part with at most `limit` entries.
    pub(super) fn next<T>(part: &[(Place, T)], limit: usize) -> Option<Place> {
        part.last().filter(|_| part.len() >= limit).map(|(place, _)| place.clone())
    }
}
