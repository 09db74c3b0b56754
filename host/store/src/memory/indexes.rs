//! The indexes of a store in memory.

use crate::invocation::PendingPromise;
use crate::machine::Row;
use crate::record::{NEVER, PromiseState, Schedule, TaskState, tag};
use crate::{Order, Place, Query};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Sets of times and ids; `NEVER` is not among the times.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    /// The deadlines of pending promises with a task.
    task_deadlines: BTreeSet<(u64, String)>,
    /// The deadlines of the other pending promises.
    other_deadlines: BTreeSet<(u64, String)>,
    /// The ends of leases.
    pub(super) leases: BTreeSet<(u64, String)>,
    /// When schedules fire.
    pub(super) firings: BTreeSet<(u64, String)>,
    /// The promises with a task by state, each with the time of its creation.
    standings: BTreeMap<(PromiseState, TaskState), BTreeSet<Place>>,
    /// The pending promises that are questions.
    pub(super) asked: BTreeSet<String>,
    /// Branches and their promises.
    pub(super) branches: BTreeSet<(String, String)>,
}

impl Indexes {
    /// Notes that a row was added, or removed.
    pub(super) fn note_row(&mut self, row: &Row, there: bool) {
        let Row { promise, task } = row;
        let id = &promise.id;
        if promise.state == PromiseState::Pending {
            let deadlines = if task.is_some() { &mut self.task_deadlines } else { &mut self.other_deadlines };
            note_time(deadlines, promise.timeout_at, id, there);
            if PendingPromise::is_asked(promise) {
                note(&mut self.asked, id.clone(), there);
            }
        }
        if let Some(branch) = promise.tags.get(tag::BRANCH) {
            note(&mut self.branches, (branch.clone(), id.clone()), there);
        }
        let Some(task) = task else { return };
        let place = Place { created_ms: promise.created_at, id: id.clone() };
        note(self.standings.entry((promise.state, task.state)).or_default(), place, there);
        if let Some(lease) = &task.lease {
            note_time(&mut self.leases, lease.expires_at, id, there);
        }
    }

    /// Notes that a schedule was added, or removed.
    pub(super) fn note_schedule(&mut self, schedule: &Schedule, there: bool) {
        note_time(&mut self.firings, schedule.next_run_at, &schedule.id, there);
    }

    /// The places of the promises in one state, in the range and order of a query.
    pub(super) fn places(
        &self,
        standing: (PromiseState, TaskState),
        query: &Query,
    ) -> Box<dyn Iterator<Item = &Place> + '_> {
        let (low, high) = query.range();
        let places = self.standings.get(&standing).filter(|_| low < high);
        let places = places.map(|places| places.range((Bound::Excluded(low), Bound::Excluded(high))));
        match query.order {
            Order::OldestFirst => Box::new(places.into_iter().flatten()),
            Order::NewestFirst => Box::new(places.into_iter().flat_map(Iterator::rev)),
        }
    }

    /// The ids of the tasks of pending promises in one state, in order.
    pub(super) fn tasks(&self, state: TaskState) -> Vec<&str> {
        let places = self.standings.get(&(PromiseState::Pending, state)).into_iter().flatten();
        let mut ids: Vec<_> = places.map(|place| &*place.id).collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn due_promises(&self, now: u64, all: bool) -> Vec<String> {
        if !all {
            return due(&self.task_deadlines, now);
        }
        let sets = [&self.task_deadlines, &self.other_deadlines].map(|set| until(set, now));
        let mut due: Vec<_> = sets.into_iter().flatten().collect();
        due.sort();
        due.into_iter().map(|(_, id)| id.clone()).collect()
    }

    pub(super) fn next_due(&self, all: bool) -> Option<u64> {
        let others = Some(&self.other_deadlines).filter(|_| all);
        let sets = [&self.task_deadlines, &self.leases, &self.firings].into_iter().chain(others);
        sets.filter_map(BTreeSet::first).map(|(at, _)| *at).min()
    }
}

/// The ids with times up to `now`, in the order of the times.
pub(super) fn due(set: &BTreeSet<(u64, String)>, now: u64) -> Vec<String> {
    until(set, now).map(|(_, id)| id.clone()).collect()
}

fn until(set: &BTreeSet<(u64, String)>, now: u64) -> impl Iterator<Item = &(u64, String)> {
    set.iter().take_while(move |(at, _)| *at <= now)
}

fn note_time(set: &mut BTreeSet<(u64, String)>, at: u64, id: &str, there: bool) {
    if at < NEVER {
        note(set, (at, id.to_owned()), there);
    }
}

fn note<T: Ord>(set: &mut BTreeSet<T>, entry: T, there: bool) {
    if there {
        set.insert(entry);
    } else {
        set.remove(&entry);
    }
}
