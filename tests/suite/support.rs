//! What the modules share: places for executions, hosts that live and die, clocks, capabilities that count their calls.

use everstep::capability::{Capability, Request};
use everstep::clock::Clock;
use everstep::output::{Content, Output};
use everstep::store::operation::{NewPromise, Operation};
use everstep::store::record::NEVER;
use everstep::store::{Backend, Change, Execution, FailureKind, Invocation, NewExecution, State};
use everstep::{Builder, Component, ErrorCode, ExecutionId, GuestError, Policy, PromiseId, Report, Run};
use everstep_tests::guests;
pub(crate) use everstep_tests::place::{Place, quick};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// The life of a process: everything that it started ends with it, as in a crash.
pub(crate) fn life<T>(body: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(body)
}

/// The fixture with the functions of this suite.
pub(crate) static BEHAVIOUR: LazyLock<Component> = LazyLock::new(|| guests::fixture("behaviour").unwrap().into());

/// Grants everything that needs no folder.
pub(crate) fn policy() -> Policy {
    let names = ["print", "display", "input", "promise", "echo", "again", "once", "never", "slow", "client", "call"];
    let mut capabilities: String = names.iter().map(|name| format!("[[capability]]\nname = \"{name}\"\n")).collect();
    // Of the last one.
    capabilities.push_str("groups = [\"other\", \"night\", \"nobody\"]\n");
    parse(&format!("[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n{capabilities}"))
}

/// The policy in a text that need not repeat its version.
pub(crate) fn parse(toml: &str) -> Policy {
    Policy::parse(&format!("version = 1\n{toml}"), Path::new("/policy.toml")).unwrap()
}

pub(crate) fn id(text: &str) -> ExecutionId {
    ExecutionId::new(text).unwrap()
}

/// A run of a function of the fixture under the id `x`.
pub(crate) fn run(function: &str, args: &str) -> Run {
    Run::new(BEHAVIOUR.clone(), function, args, policy()).with_id(id("x"))
}

/// The result of a run that completed.
#[track_caller]
pub(crate) fn result(report: &Report) -> &str {
    assert_eq!(report.state, State::Completed, "{report:?}");
    report.result.as_deref().unwrap()
}

/// The class and the message of the failure of a run that did not.
#[track_caller]
pub(crate) fn failure(report: &Report) -> (FailureKind, &str) {
    assert!(report.result.is_none(), "{report:?}");
    let failure = report.error.as_ref().unwrap();
    (failure.kind, &failure.message)
}

/// Runs to the end in a life of its own.
pub(crate) fn outcome(builder: Builder, run: Run) -> Report {
    life(async { builder.build().unwrap().run(run).await.unwrap() })
}

/// Far more than anything takes that is waited for, on a busy machine too; what hangs fails the test.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until something that is about to happen has happened.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        let mut turns = tokio::time::interval(Duration::from_millis(1));
        loop {
            turns.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// Waits for something that must happen.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// A clock that moves when the test says so.
pub(crate) struct ManualClock(watch::Sender<u64>);

impl ManualClock {
    pub(crate) fn at(now_ms: u64) -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(now_ms)))
    }

    pub(crate) fn advance_to(&self, now_ms: u64) {
        self.0.send_replace(now_ms);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        *self.0.borrow()
    }

    fn sleep_until(&self, deadline_ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            // The sender is alive: it is `self`.
            let _ = self.0.subscribe().wait_for(|now_ms| *now_ms >= deadline_ms).await;
        })
    }
}

/// The requests that capabilities have seen, by the id of their promise.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<BTreeMap<PromiseId, u32>>>);

impl Calls {
    fn note(&self, request: &Request) {
        *self.0.lock().unwrap().entry(request.id.clone()).or_default() += 1;
    }

    /// A capability that answers with the message.
    pub(crate) fn echo(&self) -> impl Capability {
        let calls = self.clone();
        move |request: Request| {
            calls.note(&request);
            async move { Ok(request.message) }
        }
    }

    /// A capability that notes the request and never answers.
    pub(crate) fn never(&self) -> impl Capability {
        let calls = self.clone();
        move |request: Request| {
            calls.note(&request);
            std::future::pending()
        }
    }

    pub(crate) fn total(&self) -> u32 {
        self.0.lock().unwrap().values().sum()
    }

    /// How often each request came, in the order of their steps.
    pub(crate) fn by_step(&self) -> Vec<(u64, u32)> {
        self.0.lock().unwrap().iter().map(|(id, times)| (id.number, *times)).collect()
    }
}

/// What hosts have shown, in order.
#[derive(Clone, Default)]
pub(crate) struct Shown(Arc<Mutex<Vec<Output>>>);

impl Shown {
    pub(crate) fn sink(&self) -> impl Fn(Output) + Send + Sync + 'static {
        let shown = self.clone();
        move |output| shown.0.lock().unwrap().push(output)
    }

    pub(crate) fn all(&self) -> Vec<Output> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.all().iter().map(text).collect()
    }
}

/// What an output reads.
pub(crate) fn text(output: &Output) -> String {
    match &output.content {
        Content::Stdout(text) | Content::Stderr(text) => text.clone(),
        Content::Denied { call, message, .. } => format!("{call}: {message}"),
        Content::Display(parts) => parts.iter().map(|part| format!("{}={};", part.mime, part.data)).collect(),
    }
}

/// Stores an execution that nobody has taken up since its journal was written.
pub(crate) fn stored(store: &dyn Backend, execution: &Execution, journal: Vec<u8>) {
    let Execution { id, component, policy, function, args, seed, created_ms, .. } = execution.clone();
    let invocation = Invocation { function, args, component, policy, trace: None };
    let (param, tags) = (invocation.param(), invocation.tags("poll://any@default"));
    let promise = NewPromise { id: id.to_string(), timeout_at: NEVER, param, tags: tags.into() };
    let key = execution.key.unwrap();
    let changes = [
        Change::operation(created_ms, Operation::PromiseCreate(promise)),
        Change::Create(Box::new(NewExecution { key, id, component, policy, seed })),
        Change::Append { key, segment: 0, bytes: journal, seal: None },
    ];
    store.commit(&changes).unwrap();
}

pub(crate) fn error(code: ErrorCode, message: &str) -> GuestError {
    GuestError::new(code, message)
}

/// A journal without what differs from run to run: the CPU time.
pub(crate) fn without_use(journal: &[u8]) -> Vec<u8> {
    const USED: u8 = 11;
    let ends = boundaries(journal);
    let starts = [0].into_iter().chain(ends.iter().copied());
    let records = starts.zip(ends.iter().copied()).map(|(start, end)| &journal[start..end]);
    records.filter(|record| record[8] != USED).flatten().copied().collect()
}

/// Where the records of a journal end, by the lengths in their frames.
pub(crate) fn boundaries(journal: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut offset = 0;
    while offset < journal.len() {
        let length = u32::from_le_bytes(journal[offset..offset + 4].try_into().unwrap());
        offset += 8 + length as usize;
        ends.push(offset);
    }
    ends
}
