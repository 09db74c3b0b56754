//! A store between a host and another: it fails, or takes tasks away, at a moment that a test chooses.

use bytes::Bytes;
use everstep::clock::{Clock, SystemClock};
use everstep::store::operation::{Event, Operation, Reply, Settlement};
use everstep::store::record::{self, NEVER, Promise, PromiseState, Schedule, Task};
use everstep::store::{
    Applied, Backend, Change, Error as StoreError, Execution, ExecutionKey, Lineage, PendingPromise, SealedJournal,
};
use everstep::{Digest, ExecutionId};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What becomes of the commit that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    /// The same, and answers in it were foretold: their guests go on before it fails.
    Foretold,
    /// It is durable, and nobody learns so.
    Kept,
    /// The store has a bug.
    Panic,
    /// Nothing fails, but that promise is resolved with 5 in the moment in which a task is acquired.
    Answered(&'static str),
    /// Nothing fails, but every task that is held is given back before it, silently.
    Freed,
    /// The same, and a worker that does nothing takes them.
    Taken,
    /// Nothing fails, but before it somebody writes a segment into the journal of each execution that is held.
    Scribbled,
    /// The clock of the store is so many milliseconds behind, and it tells nobody what has passed.
    Behind(u64),
}

/// How long guests go on with what was foretold and is lost.
const HEAD_START: Duration = Duration::from_millis(5);

/// Who takes tasks away.
const THIEF: &str = "thief";

/// A store whose commits fail from one on.
pub(crate) struct CrashStore {
    inner: Arc<dyn Backend>,
    fate: Fate,
    /// Commits before the one that fails.
    left: AtomicU32,
    struck: AtomicU32,
    /// Commits take as long as this holds.
    is_stuck: AtomicBool,
    /// Sees every commit, on the thread that makes it.
    observe: Observe,
    /// The journals of the executions that were taken away, as they were then.
    stolen: Mutex<Vec<(ExecutionId, Vec<u8>)>>,
    /// How often a claim was found to hold: by a question, or by the fence around records.
    checks: AtomicU32,
    /// Held by whoever takes away, or commits while others may.
    one: Mutex<()>,
    /// What somebody else does just before a journal is read.
    before_reading: Mutex<Option<Act>>,
    /// What happens after the next answer was foretold, and before it is durable.
    before_sync: Mutex<Option<Act>>,
}

type Act = Box<dyn FnOnce() + Send>;
type Observe = Box<dyn Fn(&[Change]) + Send + Sync>;

impl CrashStore {
    pub(crate) fn at(inner: Arc<dyn Backend>, commit: u32, fate: Fate) -> Arc<Self> {
        Arc::new(Self {
            inner,
            fate,
            left: AtomicU32::new(commit - 1),
            struck: AtomicU32::new(0),
            is_stuck: AtomicBool::new(false),
            observe: Box::new(|_| {}),
            stolen: Mutex::default(),
            checks: AtomicU32::new(0),
            one: Mutex::default(),
            before_reading: Mutex::default(),
            before_sync: Mutex::default(),
        })
    }

    /// One that never fails, and whose commits are seen.
    pub(crate) fn observed(inner: Arc<dyn Backend>, observe: impl Fn(&[Change]) + Send + Sync + 'static) -> Arc<Self> {
        let (left, struck, is_stuck) = (AtomicU32::new(u32::MAX), AtomicU32::new(0), AtomicBool::new(false));
        let (fate, stolen, checks, one) = (Fate::Kept, Mutex::default(), AtomicU32::new(0), Mutex::default());
        let (observe, before_reading, before_sync) = (Box::new(observe), Mutex::default(), Mutex::default());
        let store =
            Self { inner, fate, left, struck, is_stuck, observe, stolen, checks, one, before_reading, before_sync };
        Arc::new(store)
    }

    /// Lets somebody else act just before the next journal is read.
    pub(crate) fn before_a_journal_is_read(&self, act: impl FnOnce() + Send + 'static) {
        *self.before_reading.lock().unwrap() = Some(Box::new(act));
    }

    /// Acts after the next answer was foretold, and before it is durable. A panic there is one of the store.
    pub(crate) fn before_an_answer_is_durable(&self, act: impl FnOnce() + Send + 'static) {
        *self.before_sync.lock().unwrap() = Some(Box::new(act));
    }

    /// The settlements in these changes, as their commit would make them.
    fn settlements(&self, changes: &[Change]) -> Vec<Applied> {
        let mut applied = Vec::new();
        for change in changes {
            let (now_ms, operation) = match change {
                Change::Fenced { changes, .. } => {
                    applied.extend(self.settlements(changes));
                    continue;
                }
                Change::Operation { now_ms, operation, .. } => (*now_ms, &**operation),
                _ => continue,
            };
            let (Operation::PromiseSettle(settlement) | Operation::TaskFulfill { settlement, .. }) = operation else {
                continue;
            };
            let Settlement { id, state, value } = settlement.clone();
            let Some((promise, _)) = self.inner.promise(&id).unwrap() else { continue };
            if promise.state == PromiseState::Pending {
                let promise = Promise { state, value, settled_at: Some(now_ms), ..promise };
                applied.push(Applied { answer: Ok(Reply::Done), events: vec![Event::Settled(promise)] });
            }
        }
        applied
    }

    /// Fails from the next commit on.
    pub(crate) fn strike(&self) {
        self.left.store(0, Ordering::SeqCst);
    }

    pub(crate) fn has_struck(&self) -> bool {
        self.struck.load(Ordering::SeqCst) > 0
    }

    /// Commits take as long as this holds.
    pub(crate) fn stick(&self, is_stuck: bool) {
        self.is_stuck.store(is_stuck, Ordering::SeqCst);
    }

    /// The journals of what was taken away, as they were then.
    pub(crate) fn stolen(&self) -> Vec<(ExecutionId, Vec<u8>)> {
        self.stolen.lock().unwrap().clone()
    }

    /// How often a claim was found to hold.
    pub(crate) fn checks(&self) -> u32 {
        self.checks.load(Ordering::SeqCst)
    }

    /// The worker that has taken tasks away dies.
    pub(crate) fn give_back(&self) {
        for (id, version) in self.inner.held().unwrap() {
            let task = self.inner.promise(&id).unwrap().unwrap().1.unwrap();
            if task.lease.unwrap().pid == THIEF {
                self.inner.operate(SystemClock.now_ms(), Operation::TaskRelease { id, version }).unwrap();
            }
        }
    }

    fn note_fences(&self, changes: &[Change], applied: &[Applied]) {
        let mut applied = applied.iter();
        for change in changes {
            match change {
                Change::Fenced { changes, .. } => {
                    let holds = applied.next().unwrap().answer.is_ok();
                    let records = changes.iter().any(|change| matches!(change, Change::Append { .. }));
                    self.checks.fetch_add(u32::from(holds && records), Ordering::SeqCst);
                    let operations = changes.iter().filter(|change| matches!(change, Change::Operation { .. })).count();
                    applied.by_ref().take(operations).for_each(|_| {});
                }
                Change::Operation { .. } => {
                    applied.next();
                }
                _ => {}
            }
        }
    }

    /// Whether tasks or journals are meddled with.
    fn meddles(&self) -> bool {
        matches!(self.fate, Fate::Freed | Fate::Taken | Fate::Scribbled)
    }

    /// Takes away what is held, or scribbles over it, when the time has come for it.
    fn steal(&self) {
        if !self.meddles()
            || self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        {
            return;
        }
        let _one = self.one.lock().unwrap();
        // Of which there may be nothing yet.
        let held = self.inner.held().unwrap();
        if held.is_empty() || self.struck.fetch_add(1, Ordering::SeqCst) > 0 {
            return;
        }
        let now_ms = SystemClock.now_ms();
        for (id, version) in held {
            let execution = self.inner.execution(&id.parse().unwrap()).unwrap().unwrap();
            let key = execution.key.unwrap();
            let (journal, segment) = self.inner.journal(key).unwrap();
            if self.fate == Fate::Scribbled {
                self.inner.commit(&[Change::Append { key, segment, bytes: journal, seal: None }]).unwrap();
                continue;
            }
            let released = Operation::TaskRelease { id: id.clone(), version };
            assert!(self.inner.operate(now_ms, released).unwrap().answer.is_ok());
            if self.fate == Fate::Taken {
                let pid = THIEF.to_owned();
                let acquired = Operation::TaskAcquire { id: id.clone(), version, pid, ttl: NEVER };
                assert!(self.inner.operate(now_ms, acquired).unwrap().answer.is_ok());
            }
            self.stolen.lock().unwrap().push((execution.id, journal));
        }
    }
}

impl Backend for CrashStore {
    fn commit(&self, changes: &[Change]) -> Result<Vec<Applied>, StoreError> {
        self.commit_foretold(changes, &mut |_| {})
    }

    fn commit_foretold(
        &self,
        changes: &[Change],
        foretell: &mut dyn FnMut(&[Applied]),
    ) -> Result<Vec<Applied>, StoreError> {
        (self.observe)(changes);
        self.steal();
        while self.is_stuck.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let acquired_ms = |change: &Change| match change {
            Change::Operation { now_ms, operation, .. } => {
                matches!(**operation, Operation::TaskAcquire { .. }).then_some(*now_ms)
            }
            _ => None,
        };
        if let (Fate::Answered(promise), Some(now_ms)) = (self.fate, changes.iter().find_map(acquired_ms)) {
            let mut applied = self.inner.commit(changes)?;
            let value = record::Value { headers: BTreeMap::new(), data: Some("5".into()) };
            let settlement = Settlement { id: promise.into(), state: PromiseState::Resolved, value };
            let settled = self.inner.operate(now_ms, Operation::PromiseSettle(settlement))?;
            // Whoever asked learns it with the same write.
            applied.last_mut().unwrap().events.extend(settled.events);
            return Ok(applied);
        }
        if let Fate::Behind(ms) = self.fate {
            return self.inner.commit(&behind(changes, ms));
        }
        if self.meddles() {
            let _one = self.one.lock().unwrap();
            let applied = self.inner.commit_foretold(changes, foretell)?;
            self.note_fences(changes, &applied);
            return Ok(applied);
        }
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return self.inner.commit_foretold(changes, &mut |applied| {
                foretell(applied);
                if applied.iter().flat_map(|one| &one.events).any(|event| matches!(event, Event::Settled(_))) {
                    let act = self.before_sync.lock().unwrap().take();
                    act.into_iter().for_each(|act| act());
                }
            });
        }
        if self.struck.fetch_add(1, Ordering::SeqCst) == 0 {
            match self.fate {
                Fate::Kept => drop(self.inner.commit(changes)?),
                Fate::Foretold => {
                    foretell(&self.settlements(changes));
                    std::thread::sleep(HEAD_START);
                }
                _ => {}
            }
        }
        assert_ne!(self.fate, Fate::Panic, "a bug of the store");
        Err(StoreError::Io(std::io::Error::other("the disk is gone")))
    }

    fn fresh_key(&self) -> Result<ExecutionKey, StoreError> {
        self.inner.fresh_key()
    }

    fn execution(&self, id: &ExecutionId) -> Result<Option<Execution>, StoreError> {
        self.inner.execution(id)
    }

    fn executions(&self) -> Result<Vec<Execution>, StoreError> {
        self.inner.executions()
    }

    fn halted_below(&self, id: &ExecutionId) -> Result<Vec<Execution>, StoreError> {
        self.inner.halted_below(id)
    }

    fn journal(&self, key: ExecutionKey) -> Result<(Vec<u8>, u32), StoreError> {
        self.inner.journal(key)
    }

    fn sealed_journal(&self, key: ExecutionKey) -> Result<SealedJournal, StoreError> {
        let act = self.before_reading.lock().unwrap().take();
        act.into_iter().for_each(|act| act());
        self.inner.sealed_journal(key)
    }

    fn secret(&self) -> Option<[u8; 32]> {
        self.inner.secret()
    }

    fn holds(&self, id: &str, version: u64) -> Result<bool, StoreError> {
        self.steal();
        let holds = self.inner.holds(id, version)?;
        self.checks.fetch_add(u32::from(holds), Ordering::SeqCst);
        Ok(holds)
    }

    fn promises(&self) -> Result<Vec<PendingPromise>, StoreError> {
        self.inner.promises()
    }

    fn promise(&self, id: &str) -> Result<Option<(Promise, Option<Task>)>, StoreError> {
        self.inner.promise(id)
    }

    fn offers(&self) -> Result<Vec<String>, StoreError> {
        self.inner.offers()
    }

    fn lineage(&self, root: &ExecutionId) -> Result<Lineage, StoreError> {
        self.inner.lineage(root)
    }

    fn held(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.inner.held()
    }

    fn schedules(&self) -> Result<Vec<Schedule>, StoreError> {
        self.inner.schedules()
    }

    fn next_due(&self) -> Result<Option<u64>, StoreError> {
        self.inner.next_due()
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        self.inner.blob(digest)
    }

    fn has_blob(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.inner.has_blob(digest)
    }

    fn survives_the_process(&self) -> bool {
        self.inner.survives_the_process()
    }
}

/// The same changes as of a moment before.
fn behind(changes: &[Change], ms: u64) -> Vec<Change> {
    let earlier = |change: &Change| match change {
        Change::Operation { operation, then, .. } if **operation == Operation::Sweep => {
            Change::Operation { now_ms: 0, operation: operation.clone(), then: then.clone() }
        }
        Change::Operation { now_ms, operation, then } => {
            Change::Operation { now_ms: now_ms - ms, operation: operation.clone(), then: then.clone() }
        }
        Change::Fenced { id, version, changes } => {
            Change::Fenced { id: id.clone(), version: *version, changes: behind(changes, ms) }
        }
        change => change.clone(),
    };
    changes.iter().map(earlier).collect()
}
