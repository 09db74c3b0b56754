//! The contents of a store in memory, for the machine of promises.

use super::indexes;
use super::maps::{Maps, Undo};
use crate::Error;
use crate::machine::{Row, Tables};
use crate::record::{Promise, PromiseState, Schedule};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};

impl Tables for Maps {
    fn row(&mut self, id: &str) -> Result<Option<Row>, Error> {
        Ok(self.rows.get(id).cloned())
    }

    fn insert(&mut self, row: &Row) -> Result<(), Error> {
        self.put_row(row);
        Ok(())
    }

    fn update(&mut self, row: &Row) -> Result<(), Error> {
        self.put_row(row);
        Ok(())
    }

    fn scan(&mut self, after: Option<&str>, each: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), Error> {
        // The result only says whether `each` stopped early.
        let _ = behind(&self.rows, after).try_for_each(|row| each(row.clone()));
        Ok(())
    }

    fn pending_tree(&mut self, id: &str) -> Result<Vec<String>, Error> {
        let pending = self.tree(id).filter(|row| row.promise.state == PromiseState::Pending);
        Ok(pending.map(|row| row.promise.id.clone()).collect())
    }

    fn branch(&mut self, branch: &str, each: &mut dyn FnMut(Promise) -> ControlFlow<()>) -> Result<(), Error> {
        let ids = pairs(&self.indexes.branches, branch);
        // The result only says whether `each` stopped early.
        let _ = ids.iter().filter_map(|id| self.rows.get(id)).try_for_each(|row| each(row.promise.clone()));
        Ok(())
    }

    fn due_promises(&mut self, now: u64, all: bool) -> Result<Vec<String>, Error> {
        Ok(self.indexes.due_promises(now, all))
    }

    fn due_leases(&mut self, now: u64) -> Result<Vec<String>, Error> {
        Ok(indexes::due(&self.indexes.leases, now))
    }

    fn add_callback(&mut self, awaited: &str, awaiter: &str) -> Result<(), Error> {
        let callback = (awaited.to_owned(), awaiter.to_owned());
        if !self.callbacks.contains_key(&callback) {
            self.put_callback(callback, Some(false));
        }
        Ok(())
    }

    fn add_ready_callback(&mut self, awaited: &str, awaiter: &str) -> Result<bool, Error> {
        let callback = (awaited.to_owned(), awaiter.to_owned());
        let noted = self.callbacks.get(&callback) == Some(&true);
        if !noted {
            self.put_callback(callback, Some(true));
        }
        Ok(!noted)
    }

    fn make_callbacks_ready(&mut self, awaited: &str) -> Result<Vec<String>, Error> {
        let from = (awaited.to_owned(), String::new());
        let callbacks = self.callbacks.range(from..).take_while(|((promise, _), _)| promise == awaited);
        let waiting = callbacks.filter(|(_, ready)| !**ready).map(|((_, awaiter), _)| awaiter.clone());
        let waiting: Vec<_> = waiting.collect();
        for awaiter in &waiting {
            self.put_callback((awaited.to_owned(), awaiter.clone()), Some(true));
        }
        Ok(waiting)
    }

    fn drop_ready_callbacks(&mut self, awaiter: &str) -> Result<(), Error> {
        for awaited in pairs(&self.awaited, awaiter) {
            let callback = (awaited, awaiter.to_owned());
            if self.callbacks.get(&callback) == Some(&true) {
                self.put_callback(callback, None);
            }
        }
        Ok(())
    }

    fn drop_callbacks(&mut self, awaiter: &str) -> Result<(), Error> {
        for awaited in pairs(&self.awaited, awaiter) {
            self.put_callback((awaited, awaiter.to_owned()), None);
        }
        Ok(())
    }

    fn add_listener(&mut self, awaited: &str, address: &str) -> Result<(), Error> {
        let listener = (awaited.to_owned(), address.to_owned());
        if self.listeners.insert(listener.clone()) {
            self.undo.push(Undo::Listener(listener, false));
        }
        Ok(())
    }

    fn take_listeners(&mut self, awaited: &str) -> Result<Vec<String>, Error> {
        let addresses = pairs(&self.listeners, awaited);
        for address in &addresses {
            let listener = (awaited.to_owned(), address.clone());
            self.listeners.remove(&listener);
            self.undo.push(Undo::Listener(listener, true));
        }
        Ok(addresses)
    }

    fn schedule(&mut self, id: &str) -> Result<Option<Schedule>, Error> {
        Ok(self.schedules.get(id).cloned())
    }

    fn put_schedule(&mut self, schedule: &Schedule) -> Result<(), Error> {
        self.change_schedule(&schedule.id, Some(schedule.clone()));
        Ok(())
    }

    fn remove_schedule(&mut self, id: &str) -> Result<(), Error> {
        self.change_schedule(id, None);
        Ok(())
    }

    fn scan_schedules(
        &mut self,
        after: Option<&str>,
        each: &mut dyn FnMut(Schedule) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        // The result only says whether `each` stopped early.
        let _ = behind(&self.schedules, after).try_for_each(|schedule| each(schedule.clone()));
        Ok(())
    }

    fn due_schedules(&mut self, now: u64) -> Result<Vec<String>, Error> {
        Ok(indexes::due(&self.indexes.firings, now))
    }
}

impl Maps {
    /// The row with that id, and those whose id starts with it and a dot, in order.
    pub(super) fn tree(&self, id: &str) -> impl Iterator<Item = &Row> {
        let (from, to) = (format!("{id}."), format!("{id}/"));
        let below = self.rows.range::<str, _>((Bound::Included(&*from), Bound::Excluded(&*to))).map(|(_, row)| row);
        self.rows.get(id).into_iter().chain(below)
    }
}

/// The second halves of the pairs whose first half is `first`.
fn pairs(set: &BTreeSet<(String, String)>, first: &str) -> Vec<String> {
    let from = (first.to_owned(), String::new());
    set.range(from..).take_while(|(key, _)| key == first).map(|(_, second)| second.clone()).collect()
}

fn behind<'a, V>(map: &'a BTreeMap<String, V>, after: Option<&str>) -> impl Iterator<Item = &'a V> {
    let after = after.map_or(Bound::Unbounded, Bound::Excluded);
    map.range::<str, _>((after, Bound::Unbounded)).map(|(_, value)| value)
}
