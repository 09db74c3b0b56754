use super::*;
use crate::clock::SystemClock;
use crate::journal::{FORMAT, History, Journal, Record, SEGMENT, Started};
use crate::operation::NewPromise;
use crate::record::NEVER;
use crate::seam::{Entry, Leave, Lost};
use crate::{FileStore, MemoryStore};

struct Nobody;

impl Listener for Nobody {
    fn applied(&self, _: &[Applied]) {}
    fn failed(&self, _: &Error) {}
}

/// An execution that this host has claimed, and the tables behind it.
async fn claimed() -> (Arc<MemoryStore>, Claimed) {
    let backend = Arc::new(MemoryStore::new());
    let claimed = claimed_over(Arc::clone(&backend) as Arc<dyn Backend>, vec![1]).await;
    (backend, claimed)
}

/// The same over these tables, with these first records.
async fn claimed_over(tables: Arc<dyn Backend>, records: Vec<u8>) -> Claimed {
    claimed_by(&started(tables), records).await
}

fn started(tables: Arc<dyn Backend>) -> Arc<Embedded> {
    Embedded::start(tables, Arc::new(SystemClock), Arc::new(drop), Arc::new(Nobody)).unwrap()
}

async fn claimed_by(store: &Embedded, records: Vec<u8>) -> Claimed {
    let (component, policy) = (Digest::of(b"component"), Digest::of(b"policy"));
    let invocation = Invocation { function: "f".to_owned(), args: "null".to_owned(), component, policy, trace: None };
    let (param, tags) = (invocation.param(), invocation.tags("poll://any@default"));
    let promise = NewPromise { id: "x".to_owned(), timeout_at: NEVER, param, tags: tags.into() };
    let id = ExecutionId::new("x").unwrap();
    let birth = Birth { id, invocation, seed: [0; 32], records, progress: None };
    let Taken::Claimed(claimed) = store.create(NewRun { promise, birth, blobs: Vec::new() }).await.unwrap() else {
        panic!("the id is free");
    };
    claimed
}

fn entry() -> Entry {
    Entry { records: vec![2], ..Entry::default() }
}

#[tokio::test]
async fn an_effect_asks_for_its_claim_where_its_barrier_has_nothing_to_write() {
    let (backend, Claimed { ledger, version, since, .. }) = claimed().await;
    ledger.may_begin(since).await.unwrap();
    let ticket = ledger.append(entry());
    ledger.durable(ticket).await.unwrap();
    ledger.may_begin(ticket).await.unwrap();
    let release = Operation::TaskRelease { id: "x".to_owned(), version };
    backend.operate(1, release).unwrap().answer.unwrap();
    assert!(matches!(ledger.may_begin(ticket).await, Err(Lost::Claim)));
    assert!(matches!(ledger.lost().await, Lost::Claim));
}

#[tokio::test]
async fn a_host_that_begins_late_keeps_what_it_has_claimed_and_frees_what_others_have_left() {
    let backend: Arc<dyn Backend> = Arc::new(MemoryStore::new());
    let store = started(Arc::clone(&backend));
    let Claimed { ledger, since, .. } = claimed_by(&store, vec![1]).await;
    ledger.durable(since).await.unwrap();
    assert!(store.begin(true).await.unwrap().is_empty());
    let ticket = ledger.append(entry());
    ledger.durable(ticket).await.unwrap();
    ledger.may_begin(ticket).await.unwrap();
    let task = || backend.promise("x").unwrap().unwrap().1.unwrap().state;
    assert_eq!(task(), TaskState::Acquired);
    // The next host has the same process id, and does not run it.
    let next = started(Arc::clone(&backend));
    next.begin(true).await.unwrap();
    let mut tries = 0;
    while task() != TaskState::Pending {
        assert!(tries < 10_000, "it is never freed");
        tries += 1;
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn nothing_is_written_and_nothing_shown_under_a_lost_claim() {
    let (backend, Claimed { ledger, version, since, .. }) = claimed().await;
    ledger.durable(since).await.unwrap();
    let before = backend.sealed_journal(ExecutionKey(1)).unwrap();
    let release = Operation::TaskRelease { id: "x".to_owned(), version };
    backend.operate(1, release).unwrap().answer.unwrap();
    let (ticket, asked) =
        ledger.ask(Entry { operations: vec![Operation::CancelTree { id: "x".to_owned() }], ..entry() });
    assert!(matches!(ledger.may_begin(ticket).await, Err(Lost::Claim)));
    assert!(matches!(asked.all().await, Err(Lost::Claim)));
    assert!(matches!(ledger.leave(entry(), Leave::Halt).await, Err(Lost::Claim)));
    assert_eq!(backend.sealed_journal(ExecutionKey(1)).unwrap(), before);
    let (promise, task) = backend.promise("x").unwrap().unwrap();
    assert_eq!((promise.settled_at, task.unwrap().state), (None, TaskState::Pending));
}

#[tokio::test]
async fn long_records_go_on_from_segment_to_segment() {
    let (backend, Claimed { ledger, since, .. }) = claimed().await;
    ledger.durable(since).await.unwrap();
    let long: Vec<u8> = (0..3 * SEGMENT + 7).map(|at| (at / 1000) as u8).collect();
    let before = backend.sealed_journal(ExecutionKey(1)).unwrap();
    let ticket = ledger.append(Entry { records: long.clone(), ..Entry::default() });
    ledger.durable(ticket).await.unwrap();
    ledger.durable(ledger.append(entry())).await.unwrap();
    let after = backend.sealed_journal(ExecutionKey(1)).unwrap();
    assert_eq!(after.segments - before.segments, 5);
    assert!(after.bytes == [&before.bytes[..], &long, &[2]].concat());
    let execution = backend.execution(&ExecutionId::new("x").unwrap()).unwrap().unwrap();
    let (journal, tail) = seal::journal(&*backend, &execution).unwrap();
    assert!(journal == after.bytes);
    assert_eq!(tail.segment, after.segments);
}

#[tokio::test]
async fn a_journal_of_its_start_alone_is_bound_by_what_that_says() {
    let mut journal = Journal::new(History::default());
    journal.append(&Record::Started(Started {
        format: FORMAT,
        at_ms: 1,
        component: &Digest::of(b"component").0,
        policy: &Digest::of(b"policy").0,
        seed: &[0; 32],
        args: &Digest::of(b"null").0,
        function: "f",
    }));
    // A store in memory does not bind its journals: nobody else can change them.
    let dir = tempfile::tempdir().unwrap();
    let backend: Arc<dyn Backend> = Arc::new(FileStore::open(dir.path()).unwrap());
    let Claimed { ledger, since, .. } = claimed_over(Arc::clone(&backend), journal.take_tail()).await;
    ledger.durable(since).await.unwrap();
    let seal = || backend.sealed_journal(ExecutionKey(1)).unwrap().seal;
    assert_eq!(seal(), None);
    let execution = backend.execution(&ExecutionId::new("x").unwrap()).unwrap().unwrap();
    let read = |execution: &Execution| seal::journal(&*backend, execution).map(|(journal, _)| journal);
    assert!(read(&execution).is_ok());
    let others = [
        Execution { args: "1".to_owned(), ..execution.clone() },
        Execution { function: "g".to_owned(), ..execution.clone() },
        Execution { policy: Digest::of(b"other"), ..execution.clone() },
    ];
    assert!(others.iter().all(|other| matches!(read(other), Err(Error::Foreign { .. }))));
    ledger.durable(ledger.append(entry())).await.unwrap();
    assert!(seal().is_some());
    assert!(read(&execution).is_ok());
    assert!(others.iter().all(|other| matches!(read(other), Err(Error::Foreign { .. }))));
}
