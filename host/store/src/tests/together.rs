//! Changes in one commit come to the same as each in a commit of its own.

use super::all_or_nothing::contents;
use super::*;
use proptest::prelude::*;

/// Executions, one the caller of another, and a promise.
const IDS: [&str; 4] = ["a", "b", "a.1", "a.2"];
/// The number of kinds of changes that [`change`] makes.
const KINDS: u8 = 23;

/// A change of a kind to one of the ids; `other` is another id, or a number.
fn change(kind: u8, id: usize, other: usize) -> Change {
    let (key, number) = (ExecutionKey(id as u32 + 1), other as u32);
    let (id, other) = (IDS[id].to_owned(), IDS[other].to_owned());
    let (pid, ttl, address) = ("host".to_owned(), 10, "poll://uni@clients/c".to_owned());
    let fulfill = || Operation::TaskFulfill { version: 1, settlement: settlement(&id, PromiseState::Resolved, None) };
    let made = |timeout_at, tags| Operation::PromiseCreate(NewPromise { timeout_at, ..new_promise(&id, tags) });
    let operation = match kind {
        0 | 1 => return take_up(key, &id),
        2 => return append(key, number, "segment"),
        3 => return Change::Append { key, segment: number, bytes: vec![7], seal: Some([number as u8; 32]) },
        4 => return Change::Progress(key, Box::new(Progress { steps: 9, ..Progress::default() })),
        5 => return Change::Component(key, Digest::of(b"another")),
        6 => {
            let changes = vec![append(key, number, "last"), Change::operation(9, fulfill())];
            return Change::Fenced { id, version: 1, changes };
        }
        7 => return beside(key, &id),
        8 => made(NEVER, invocation().tags("poll://any@workers")),
        9 => made(NEVER, BTreeMap::new()),
        10 => made(20, BTreeMap::from([("resonate:timer".to_owned(), "true".to_owned())])),
        11 => made(7, invocation().tags("poll://any@workers")),
        12 => settle(&id, PromiseState::Rejected),
        13 => fulfill(),
        14 => Operation::TaskAcquire { id, version: 0, pid, ttl },
        15 => Operation::TaskSuspend { id, version: 1, awaited: vec![other] },
        16 => Operation::RegisterCallback { awaited: other, awaiter: id },
        17 => Operation::RegisterListener { awaited: id, address },
        18 => Operation::TaskHalt { id },
        19 => Operation::TaskContinue { id },
        20 => Operation::TaskRelease { id, version: 1 },
        21 => Operation::CancelTree { id },
        _ => return Change::operation(25, Operation::Sweep),
    };
    Change::operation(9, operation)
}

fn journals(store: &dyn Backend) -> Vec<SealedJournal> {
    (1..=4).map(|key| store.sealed_journal(ExecutionKey(key)).unwrap()).collect()
}

proptest! {
    #[test]
    fn changes_in_one_commit_come_to_the_same_as_in_one_each(
        drawn in proptest::collection::vec((0..KINDS, 0..IDS.len(), 0..IDS.len()), 1..24),
        before in 0..4_usize,
    ) {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [apart, together] = dirs.each_ref().map(|dir| FileStore::open(dir.path()).unwrap());
        let (mut fitting, mut expected) = (Vec::new(), Vec::new());
        for (kind, id, other) in drawn {
            let change = change(kind, id, other);
            match apart.commit(std::slice::from_ref(&change)) {
                Ok(applied) => {
                    expected.extend(applied);
                    fitting.push(change);
                }
                Err(error) => prop_assert!(matches!(error, Error::Refused { .. }), "{error}"),
            }
        }
        // The first ones are there already when the others come.
        let (before, rest) = fitting.split_at(before.min(fitting.len()));
        let mut applied = together.commit(before).unwrap();
        applied.extend(together.commit(rest).unwrap());
        prop_assert_eq!(applied, expected);
        prop_assert_eq!(journals(&together), journals(&apart));
        prop_assert_eq!(contents(&together), contents(&apart));
    }
}
