//! Messages to addresses that are URLs: queues, limits and turns.
//!
//! Each address has a queue of its own, and the addresses of one receiver (scheme, host and port) share a limit of messages under way.
//! Receivers take turns, and so do the addresses of each, so that a slow one does not hold up others while there is room.

use bytes::Bytes;
use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// The most messages under way to one address, and to one receiver.
const PER_ADDRESS: usize = 64;
const PER_RECEIVER: usize = 256;
/// The most messages that wait for one address and in all, and their bytes.
const WAITING: usize = 1024;
const WAITING_BYTES: usize = 8 << 20;
const WAITING_IN_ALL: usize = 16 << 10;
const WAITING_BYTES_IN_ALL: usize = 64 << 20;
/// The assumed size of a message besides its texts, in bytes.
const OVERHEAD: usize = 512;
/// The most receivers that are remembered as failing.
const FAILING: usize = 1024;

/// Sends messages to addresses that are URLs.
pub trait Carrier: Send + Sync + 'static {
    /// The receiver at an address, such as `https://example.org:443`.
    ///
    /// # Errors
    /// The reason that nothing is sent there, and the remedy.
    fn receiver(&self, address: &str) -> Result<String, String>;

    /// Posts a message, a JSON text, and waits until it is accepted.
    ///
    /// # Errors
    /// The reason that it may not have been accepted.
    fn post(&self, address: &str, message: Bytes) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
}

/// A message to an address.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A task may be acquired, if that is still so. `number` distinguishes its offers.
    Execute { id: String, version: u64, number: u64 },
    /// A promise is settled; the message as it is sent.
    Unblock(Bytes),
}

/// A message that is about to leave. Its place is free again once this is dropped.
pub(super) struct Letter {
    pub(super) message: Message,
    pub(super) address: Arc<str>,
    receiver: Arc<str>,
    lines: Arc<Lines>,
}

/// The messages that wait or are under way.
pub(super) struct Pushes {
    pub(super) carrier: Arc<dyn Carrier>,
    lines: Arc<Lines>,
    /// Receivers that did not accept the last message.
    failing: Mutex<HashSet<Arc<str>>>,
    pub(super) failed: AtomicU64,
}

struct Lines {
    /// The most messages under way at once.
    most: usize,
    state: Mutex<State>,
    /// A message may leave.
    more: Notify,
    /// How many messages wait or are under way.
    busy: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    receivers: HashMap<Arc<str>, Receiver>,
    /// Receivers to which a message may leave.
    turns: VecDeque<Arc<str>>,
    waiting: usize,
    bytes: usize,
    under_way: usize,
}

#[derive(Default)]
struct Receiver {
    lines: HashMap<Arc<str>, Line>,
    /// Addresses to which a message may leave.
    turns: VecDeque<Arc<str>>,
    under_way: usize,
    has_turn: bool,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Message>,
    bytes: usize,
    under_way: usize,
    has_turn: bool,
}

impl Pushes {
    /// Empty queues; at most `most` messages are under way at once.
    pub(super) fn new(carrier: Arc<dyn Carrier>, most: usize) -> Self {
        let (state, more, busy) = (Mutex::default(), Notify::new(), watch::Sender::new(0));
        let lines = Arc::new(Lines { most, state, more, busy });
        Self { carrier, lines, failing: Mutex::default(), failed: AtomicU64::new(0) }
    }

    /// Whether messages may be sent to an address.
    pub(super) fn admits(&self, address: &str) -> bool {
        self.carrier.receiver(address).is_ok()
    }

    /// Queues a message; `None` if there is no room for it, or if nothing is sent to that address.
    pub(super) fn put(&self, address: &str, message: Message) -> Option<()> {
        let receiver = self.carrier.receiver(address).ok()?;
        let size = message.size() + address.len() + OVERHEAD;
        let mut state = self.lines.state();
        if state.waiting >= WAITING_IN_ALL || state.bytes + size > WAITING_BYTES_IN_ALL {
            return None;
        }
        let (address, receiver): (Arc<str>, Arc<str>) = (address.into(), receiver.into());
        let line = state.receivers.entry(Arc::clone(&receiver)).or_default().lines.entry(Arc::clone(&address));
        let line = line.or_default();
        // A message larger than a queue may be is only queued alone.
        if line.waiting.len() >= WAITING || (line.bytes + size > WAITING_BYTES && !line.waiting.is_empty()) {
            return None;
        }
        line.waiting.push_back(message);
        line.bytes += size;
        state.waiting += 1;
        state.bytes += size;
        state.line_up(&receiver, &address);
        drop(state);
        self.lines.busy.send_modify(|busy| *busy += 1);
        self.lines.more.notify_one();
        Some(())
    }

    /// The next message; `None` while none may leave.
    pub(super) fn next(&self) -> Option<Letter> {
        let mut state = self.lines.state();
        if state.under_way >= self.lines.most {
            return None;
        }
        let (receiver, address, message) = state.next()?;
        Some(Letter { message, address, receiver, lines: Arc::clone(&self.lines) })
    }

    /// Completes when a message may leave.
    pub(super) async fn more(&self) {
        self.lines.more.notified().await;
    }

    /// Completes when no message waits or is under way.
    pub(super) async fn drained(&self) {
        // The sender is a field of this.
        let _ = self.lines.busy.subscribe().wait_for(|busy| *busy == 0).await;
    }

    /// How many messages wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        self.lines.state().waiting
    }

    /// Notes whether a message was accepted; logs when a receiver begins to fail.
    pub(super) fn note(&self, letter: &Letter, outcome: &Result<(), String>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => drop(failing.remove(&letter.receiver)),
            Err(why) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                if failing.len() >= FAILING {
                    failing.clear();
                }
                if failing.insert(Arc::clone(&letter.receiver)) {
                    tracing::warn!(receiver = &*letter.receiver, why, "a message was not taken");
                }
            }
        }
    }
}

impl Message {
    fn size(&self) -> usize {
        match self {
            Self::Execute { id, .. } => id.len(),
            Self::Unblock(text) => text.len(),
        }
    }
}

impl Lines {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Queues an address, and its receiver, for a turn if a message may leave to them.
    fn line_up(&mut self, receiver: &Arc<str>, address: &Arc<str>) {
        let Some(to) = self.receivers.get_mut(receiver) else { return };
        if let Some(line) = to.lines.get_mut(address)
            && !line.has_turn
            && !line.waiting.is_empty()
            && line.under_way < PER_ADDRESS
        {
            line.has_turn = true;
            to.turns.push_back(Arc::clone(address));
        }
        if !to.has_turn && !to.turns.is_empty() && to.under_way < PER_RECEIVER {
            to.has_turn = true;
            self.turns.push_back(Arc::clone(receiver));
        }
    }

    /// Takes the next message, which is under way from now on.
    fn next(&mut self) -> Option<(Arc<str>, Arc<str>, Message)> {
        let receiver = self.turns.pop_front()?;
        let to = self.receivers.get_mut(&receiver)?;
        to.has_turn = false;
        let address = to.turns.pop_front()?;
        let line = to.lines.get_mut(&address)?;
        line.has_turn = false;
        let message = line.waiting.pop_front()?;
        let size = message.size() + address.len() + OVERHEAD;
        line.bytes -= size;
        line.under_way += 1;
        to.under_way += 1;
        self.under_way += 1;
        self.waiting -= 1;
        self.bytes -= size;
        self.line_up(&receiver, &address);
        Some((receiver, address, message))
    }

    /// Ends a message that was under way.
    fn done(&mut self, receiver: &Arc<str>, address: &Arc<str>) {
        self.under_way -= 1;
        let Some(to) = self.receivers.get_mut(receiver) else { return };
        to.under_way -= 1;
        if let Some(line) = to.lines.get_mut(address) {
            line.under_way -= 1;
            if line.under_way == 0 && line.waiting.is_empty() {
                to.lines.remove(address);
            }
        }
        if to.lines.is_empty() {
            self.receivers.remove(receiver);
        } else {
            self.line_up(receiver, address);
        }
    }
}

impl Drop for Letter {
    fn drop(&mut self) {
        self.lines.state().done(&self.receiver, &self.address);
        self.lines.busy.send_modify(|busy| *busy -= 1);
        self.lines.more.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes every message; the receiver is the part of an address before the first slash.
    struct Anywhere;

    impl Carrier for Anywhere {
        fn receiver(&self, address: &str) -> Result<String, String> {
            Ok(address.split('/').next().unwrap_or_default().to_owned())
        }

        fn post(&self, _: &str, _: Bytes) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
            Box::pin(std::future::ready(Ok(())))
        }
    }

    fn pushes(most: usize) -> Pushes {
        Pushes::new(Arc::new(Anywhere), most)
    }

    fn execute(number: usize) -> Message {
        Message::Execute { id: format!("{number}"), version: 0, number: number as u64 }
    }

    #[test]
    fn one_that_is_slow_leaves_room_for_others() {
        let pushes = pushes(1000);
        (0..WAITING).for_each(|number| pushes.put("slow/one", execute(number)).unwrap());
        assert_eq!(pushes.put("slow/one", execute(0)), None, "a line has an end");
        (0..8).for_each(|other| {
            (0..100).for_each(|number| pushes.put(&format!("slow/{other}"), execute(number)).unwrap());
        });
        pushes.put("quick/one", execute(7)).unwrap();
        let mut left: Vec<Letter> = std::iter::from_fn(|| pushes.next()).collect();
        assert_eq!(left.iter().filter(|letter| &*letter.address == "slow/one").count(), 256 / 9 + 1);
        assert_eq!(left.iter().filter(|letter| &*letter.receiver == "slow").count(), PER_RECEIVER);
        assert_eq!(left.iter().filter(|letter| &*letter.receiver == "quick").count(), 1);
        assert_eq!(&*left[1].receiver, "quick", "receivers take turns");
        left.truncate(200);
        let more: Vec<Letter> = std::iter::from_fn(|| pushes.next()).collect();
        assert_eq!(more.len(), PER_RECEIVER - left.iter().filter(|letter| &*letter.receiver == "slow").count());
    }

    #[test]
    fn all_of_it_leaves_in_order_and_nothing_is_kept() {
        let pushes = pushes(2);
        (0..500).for_each(|number| pushes.put(&format!("r{}/{}", number % 7, number % 14), execute(number)).unwrap());
        let (mut last, mut count) = (HashMap::new(), 0);
        while let Some(letter) = pushes.next() {
            let Message::Execute { number, .. } = letter.message else { unreachable!() };
            assert!(last.insert(Arc::clone(&letter.address), number).is_none_or(|before| before < number));
            count += 1;
        }
        let state = pushes.lines.state();
        assert_eq!((count, state.waiting, state.bytes, state.under_way), (500, 0, 0, 0));
        assert!(state.receivers.is_empty() && state.turns.is_empty());
        assert_eq!(*pushes.lines.busy.borrow(), 0);
    }

    #[test]
    fn there_is_an_end_to_what_waits() {
        let pushes = pushes(1);
        let large = || Message::Unblock(vec![b'x'; 3 << 20].into());
        assert_eq!((0..9).filter(|_| pushes.put("a/x", large()).is_some()).count(), 2);
        let taken = (0..100).filter(|number| pushes.put(&format!("b{number}/x"), large()).is_some()).count();
        assert_eq!(taken, 19, "64 MiB in all");
    }
}
