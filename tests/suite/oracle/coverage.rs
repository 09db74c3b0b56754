//! What a run must have come upon: every operation with every outcome that it can have, in every dialect, every state and event.

use super::State;
use everstep::store::operation::{Answer, Dialect, Event, Operation, Reply, Status};
use everstep::store::record::TaskState;
use std::collections::{BTreeMap, BTreeSet};

/// The outcomes of each operation; `RegisterCallback` has one less in dialect A.
const OUTCOMES: [(&str, &str); 23] = [
    ("PromiseCreate", "done 400"),
    ("PromiseGet", "done 404"),
    ("PromiseSettle", "done 400 404"),
    ("PromiseSearch", "done more 400"),
    ("RegisterCallback", "done 400 404 422"),
    ("RegisterListener", "done 400 404"),
    ("TaskCreate", "done fulfilled 400 409 422"),
    ("TaskAcquire", "done 400 404 409"),
    ("TaskFence", "done inner-404 400 404 409"),
    ("TaskSuspend", "done go-on 400 404 409 422"),
    ("TaskFulfill", "done 400 404 409"),
    ("TaskRelease", "done 404 409"),
    ("TaskHeartbeat", "done 400"),
    ("TaskHalt", "done 404 409"),
    ("TaskContinue", "done 404 409"),
    ("TaskGet", "done 404"),
    ("TaskSearch", "done more 400"),
    ("ScheduleCreate", "done 400"),
    ("ScheduleGet", "done 404"),
    ("ScheduleDelete", "done 404"),
    ("ScheduleSearch", "done more 400"),
    ("CancelTree", "done 404"),
    ("Sweep", "done"),
];

const SIGHTS: &str = "promise:pending promise:resolved promise:rejected promise:rejected_canceled promise:rejected_timedout
    task:pending task:acquired task:suspended task:halted task:fulfilled resumes:pending resumes:acquired resumes:suspended
    resumes:halted event:settled event:execute event:unblock preload execution:pending execution:running execution:suspended
    execution:completed execution:failed execution:canceled execution:halted asked fired";

/// How often something came up.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage {
    pub(super) dialect: Dialect,
    counts: BTreeMap<String, u64>,
}

impl Coverage {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, counts: BTreeMap::new() }
    }

    pub(super) fn see(&mut self, operation: &Operation, answer: &Answer, events: &[Event]) {
        self.note(format!("{} {}", name(operation), outcome(answer)));
        for event in events {
            self.note(match event {
                Event::Settled(_) => "event:settled",
                Event::Execute { .. } => "event:execute",
                Event::Unblock { .. } => "event:unblock",
            });
        }
        if let Ok(Reply::Claimed { preload, .. } | Reply::Fenced { preload, .. } | Reply::GoOn(preload)) = answer
            && !preload.is_empty()
        {
            self.note("preload");
        }
    }

    pub(super) fn see_state(&mut self, state: &State) {
        for (promise, task) in &state.promises {
            self.note(format!("promise:{}", promise.state.name()));
            if let Some(task) = task {
                self.note(format!("task:{}", task.state.name()));
                if task.resumes > 0 {
                    self.note(format!("resumes:{}", task.state.name()));
                }
            }
        }
        for execution in &state.executions {
            self.note(format!("execution:{}", execution.state.name()));
        }
        if !state.asked.is_empty() {
            self.note("asked");
        }
        if state.schedules.iter().any(|schedule| schedule.last_run_at.is_some()) {
            self.note("fired");
        }
    }

    fn note(&mut self, what: impl AsRef<str>) {
        *self.counts.entry(format!("{:?} {}", self.dialect, what.as_ref())).or_default() += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            *self.counts.entry(what.clone()).or_default() += count;
        }
    }

    /// Nothing that can come up is missing, and nothing came up that cannot; `never`: operations that cannot.
    pub(super) fn assert_complete(&self, never: &[&str]) {
        let possible = |what: &String| !never.iter().any(|never| what.contains(&format!(" {never} ")));
        let wanted: BTreeSet<String> = super::DIALECTS.into_iter().flat_map(wanted).filter(possible).collect();
        let seen: BTreeSet<String> = self.counts.keys().cloned().collect();
        let missing: Vec<_> = wanted.difference(&seen).collect();
        let strange: Vec<_> = seen.difference(&wanted).collect();
        assert!(
            missing.is_empty() && strange.is_empty(),
            "missing: {missing:?}\nstrange: {strange:?}\n{:#?}",
            self.counts
        );
    }
}

fn wanted(dialect: Dialect) -> impl Iterator<Item = String> {
    let outcomes = OUTCOMES
        .into_iter()
        .flat_map(|(operation, outcomes)| outcomes.split(' ').map(move |outcome| format!("{operation} {outcome}")));
    let sights = SIGHTS.split_whitespace().map(str::to_owned);
    let possible = move |what: &String| dialect != Dialect::A || what != "RegisterCallback 400";
    outcomes.chain(sights).filter(possible).map(move |what| format!("{dialect:?} {what}"))
}

fn outcome(answer: &Answer) -> &'static str {
    match answer {
        Ok(Reply::Claimed { task, .. }) if task.state == TaskState::Fulfilled => "fulfilled",
        Ok(Reply::Fenced { answer, .. }) if answer.is_err() => "inner-404",
        Ok(Reply::GoOn(_)) => "go-on",
        Ok(Reply::Promises(_, Some(_)) | Reply::Tasks(_, Some(_)) | Reply::Schedules(_, Some(_))) => "more",
        Ok(_) => "done",
        Err(refusal) => match refusal.status {
            Status::Invalid => "400",
            Status::NotFound => "404",
            Status::Conflict => "409",
            Status::Unprocessable => "422",
        },
    }
}

fn name(operation: &Operation) -> String {
    let told = format!("{operation:?}");
    told.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
