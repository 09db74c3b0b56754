//! Operations on schedules, and their firing.

use super::ids;
use super::{List, Machine, Step, Stop, Tables, limit, not_found, refuse};
use crate::Error;
use crate::cron::Cron;
use crate::operation::{Dialect, NewPromise, NewSchedule, Page, Reply, Status};
use crate::record::{NEVER, Schedule, tag};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// The latest that a firing may come without counting as missed, in milliseconds.
const LATE_MS: u64 = 60_000;
/// The longest id that a firing may create, in bytes: a template may repeat the id of its schedule many times.
const LONGEST_ID: usize = 64 << 10;
/// The length of a timestamp, in bytes.
const TIMESTAMP: usize = 20;

impl<T: Tables> Machine<'_, T> {
    pub(super) fn create_schedule(&mut self, new: &NewSchedule) -> Step<Reply> {
        ids::check_id("schedule", &new.id)?;
        ids::check_id("promise", &new.promise_id)?;
        let target = new.promise_tags.get(tag::TARGET);
        target.map_or(Ok(()), |target| ids::check_address(target))?;
        let times = |name: &str, length: usize| new.promise_id.matches(name).count().saturating_mul(length);
        let longest = times("{{.id}}", new.id.len()).saturating_add(times("{{.timestamp}}", TIMESTAMP));
        if longest.saturating_add(new.promise_id.len()) > LONGEST_ID {
            return refuse(
                Status::Invalid,
                format!("the promises of a schedule have ids of at most {LONGEST_ID} bytes"),
            );
        }
        if self.dialect != Dialect::A && target.is_none() {
            return refuse(Status::Invalid, format!("the tags of a schedule's promises have {}", tag::TARGET));
        }
        if self.dialect == Dialect::B && new.id.contains('.') {
            return refuse(Status::Invalid, "the id of a schedule has no '.'");
        }
        let next_run_at = Cron::parse(&new.cron).map(|cron| next(&cron, self.now));
        let next_run_at = next_run_at.or_else(|reason| refuse(Status::Invalid, reason))?;
        if next_run_at == NEVER {
            return refuse(Status::Invalid, format!("the cron expression {:?} never fires", new.cron));
        }
        if let Some(schedule) = self.tables.schedule(&new.id)? {
            return Ok(Reply::Schedule(schedule));
        }
        let schedule = self.new_schedule(new, next_run_at);
        self.tables.put_schedule(&schedule)?;
        Ok(Reply::Schedule(schedule))
    }

    fn new_schedule(&self, new: &NewSchedule, next_run_at: u64) -> Schedule {
        let NewSchedule { id, cron, promise_id, promise_timeout, promise_param, promise_tags } = new.clone();
        Schedule {
            id,
            cron,
            promise_id,
            promise_timeout: promise_timeout.min(NEVER),
            promise_param,
            promise_tags,
            created_at: self.now,
            next_run_at,
            last_run_at: None,
        }
    }

    pub(super) fn schedule(&mut self, id: &str) -> Step<Schedule> {
        self.tables.schedule(id)?.ok_or_else(|| not_found("schedule", id))
    }

    pub(super) fn delete_schedule(&mut self, id: &str) -> Step<Reply> {
        self.schedule(id)?;
        self.tables.remove_schedule(id)?;
        Ok(Reply::Done)
    }

    pub(super) fn search_schedules(&mut self, tags: &BTreeMap<String, String>, page: &Page) -> Step<Reply> {
        let mut found = List::new(limit(page.limit, 10)?);
        self.tables.scan_schedules(page.cursor.as_deref(), &mut |schedule| {
            let fits = tags.iter().all(|(name, value)| schedule.promise_tags.get(name) == Some(value));
            if fits { found.add(schedule) } else { ControlFlow::Continue(()) }
        })?;
        let (schedules, cursor) = found.page();
        Ok(Reply::Schedules(schedules, cursor))
    }

    /// Fires a schedule once, as of the time when it was due: id and deadline do not depend on when it was noticed. A second firing
    /// of the same time finds the promise of the first.
    pub(super) fn fire(&mut self, id: &str) -> Step<()> {
        let Some(mut schedule) = self.tables.schedule(id)? else { return Ok(()) };
        let fired = schedule.next_run_at;
        let skips = schedule.skips_missed();
        let missed = skips && self.now.saturating_sub(fired) > LATE_MS;
        if !missed {
            let new = firing(&schedule, fired);
            if self.tables.row(&new.id)?.is_some() {
                let (schedule, id) = (&schedule.id, &new.id);
                tracing::warn!(%schedule, %id, "a firing of the schedule starts nothing: there is an execution of that id already");
            } else {
                self.insert(&new, None)?;
            }
            schedule.last_run_at = Some(fired);
        }
        // Missed firings are skipped all at once; those to be caught up come one by one.
        let after = if missed { self.now - LATE_MS - 1 } else { fired };
        schedule.next_run_at = next(&stored_cron(&schedule)?, after);
        Ok(self.tables.put_schedule(&schedule)?)
    }
}

/// The promise of a firing.
fn firing(schedule: &Schedule, fired: u64) -> NewPromise {
    let id = schedule.promise_id.replace("{{.id}}", &schedule.id).replace("{{.timestamp}}", &fired.to_string());
    let mut tags = schedule.promise_tags.clone();
    tags.insert(tag::SCHEDULE.to_owned(), schedule.id.clone());
    for name in [tag::ORIGIN, tag::BRANCH, tag::PARENT, tag::PREFIX] {
        tags.insert(name.to_owned(), id.clone());
    }
    let timeout_at = fired.saturating_add(schedule.promise_timeout);
    NewPromise { id, timeout_at, param: schedule.promise_param.clone(), tags: tags.into() }
}

fn next(cron: &Cron, after: u64) -> u64 {
    cron.next_after(after).unwrap_or(NEVER).min(NEVER)
}

/// The cron expression of a stored schedule, which was checked when the schedule was created.
fn stored_cron(schedule: &Schedule) -> Step<Cron> {
    Cron::stored(&schedule.cron).map_err(|reason| {
        let what = format!("the schedule {:?}", schedule.id);
        Stop::Failed(Error::Corrupted { what, expected: "a cron expression".to_owned(), found: reason })
    })
}
