//! Executions that start at the times of a cron expression.

use super::{Error, Everstep, Run};
use crate::id::ExecutionId;
use crate::json;
use everstep_store::Invocation;
use everstep_store::operation::{NewSchedule, Operation, Reply};
use everstep_store::record::{NEVER, Schedule};

/// Template of the id of the execution that a firing starts: the same whichever host fires it.
const FIRING: &str = "{{.id}}:{{.timestamp}}";
/// The same on a server, some of which take a colon for the end of an execution's name.
const FIRING_BY_WORKERS: &str = "{{.id}}-{{.timestamp}}";

impl Everstep {
    /// Creates a schedule: at each time of `cron` (five fields, or six or seven with leading seconds, in UTC) the function of `run` is
    /// started as `{id}:{milliseconds since the Unix epoch}`, on a server as `{id}-{milliseconds}`. With `catches_up`, firings that were missed while no host ran are made up
    /// for, one by one; without, those more than a minute late are skipped. Creating the same schedule again changes nothing.
    ///
    /// # Errors
    /// The id or the expression cannot be used, a schedule of that id does something else, or the run cannot be started.
    pub async fn schedule(&self, id: &str, cron: &str, run: Run, catches_up: bool) -> Result<Schedule, Error> {
        self.work();
        let invalid = |reason: String| Error::Schedule { id: id.to_owned(), reason };
        check_id(id).map_err(invalid)?;
        json::check(&run.args)?;
        let inner = &self.inner;
        let grants = inner.grants.open(&run.policy.for_function(&run.function))?;
        let loaded = inner.load(&run.component, &grants).await?;
        inner.check_call(&loaded, &grants, &run.function, &run.args).await?;
        let component = run.component.digest;
        let invocation =
            Invocation { function: run.function, args: run.args, component, policy: grants.digest, trace: None };
        let timeout = run.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(NEVER));
        let mut promise_tags = invocation.tags(&inner.target);
        let by_workers = inner.store.has_others();
        promise_tags.extend((!catches_up).then(Schedule::skipping));
        promise_tags.extend(by_workers.then(Invocation::by_workers));
        let new = NewSchedule {
            id: id.to_owned(),
            cron: cron.to_owned(),
            promise_id: if by_workers { FIRING_BY_WORKERS } else { FIRING }.to_owned(),
            promise_timeout: timeout.unwrap_or(NEVER).min(NEVER),
            promise_param: invocation.param(),
            promise_tags,
        };
        let policy = grants.canonical.clone().into();
        inner.store.keep(vec![(component, run.component.content), (grants.digest, policy)]).await?;
        match inner.store.operate(Operation::ScheduleCreate(new.clone())).await?.answer {
            Ok(Reply::Schedule(schedule)) if is_same(&schedule, &new) => Ok(schedule),
            Ok(_) => Err(invalid("there is another schedule of that id; delete it first".to_owned())),
            Err(refusal) => Err(invalid(refusal.reason)),
        }
    }

    /// Deletes a schedule; executions that it has started continue.
    ///
    /// # Errors
    /// There is no such schedule, or the store failed.
    pub async fn unschedule(&self, id: &str) -> Result<(), Error> {
        self.work();
        let delete = Operation::ScheduleDelete { id: id.to_owned() };
        let applied = self.inner.store.operate(delete).await?;
        applied.answer.map(drop).map_err(|_| Error::UnknownSchedule(id.to_owned()))
    }
}

/// Checks the id of a schedule. A firing adds a colon and a time, so that no two schedules can mean the same
/// execution.
fn check_id(id: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let longest = ExecutionId::LONGEST - format!(":{NEVER}").len();
    if id.is_empty() || id.len() > longest || !id.bytes().all(allowed) {
        return Err(format!("its id has to be 1 to {longest} of the characters a-z, A-Z, 0-9, '-' and '_'"));
    }
    Ok(())
}

fn is_same(schedule: &Schedule, new: &NewSchedule) -> bool {
    let Schedule { cron, promise_timeout, promise_param, promise_tags, .. } = schedule;
    (cron, promise_timeout, promise_param, promise_tags)
        == (&new.cron, &new.promise_timeout, &new.promise_param, &new.promise_tags)
}
