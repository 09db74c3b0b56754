//! The connected workers, and the messages for them (section 8 of the protocol).
//!
//! A message leaves at once if a worker can take it. The offer of a task is repeated when a worker of its group connects after none was
//! there, and every 30 s until the task is acquired; the settlement of a promise is sent at most once. An offer that a URL has not
//! accepted is repeated sooner at first.

use super::push::{Letter, Message, Pushes};
use super::wire;
use super::writer::{Observer, Writer};
use bytes::Bytes;
use everstep_store::clock::{Clock, SystemClock};
use everstep_store::operation::{Event, FenceAction, Operation, Reply};
use everstep_store::record::{Promise, TaskState, tag};
use everstep_store::{Applied, Backend, Error, Invocation};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

/// The most streams at once.
const STREAMS: usize = 1000;
/// The most unread messages of a stream.
const BEHIND: usize = 100;
/// How often the offer of a task is repeated, in milliseconds.
const AGAIN_MS: u64 = 30_000;
/// The same when all workers have too many unread messages.
const SOON_MS: u64 = 100;
/// The same when a URL has not accepted it; doubled each time, up to [`AGAIN_MS`].
const REFUSED_MS: u64 = 1000;
/// The offer is not repeated while it is on its way.
const NEVER_MS: u64 = u64::MAX;

/// See the module.
pub(super) struct Outbox {
    /// The address of this server, as messages name it.
    url: String,
    store: Arc<dyn Backend>,
    /// The messages to URLs; `None`: URLs get none.
    pub(super) pushes: Option<Pushes>,
    state: Mutex<State>,
    /// Wakes `work`: something is due earlier than expected.
    earlier: Notify,
    pub(super) delivered: AtomicU64,
    pub(super) dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    next: u64,
    streams: usize,
    groups: HashMap<String, Group>,
    offers: HashMap<String, Offer>,
    /// When each offer is due, in milliseconds since the Unix epoch.
    due: BTreeSet<(u64, String)>,
    closed: bool,
}

#[derive(Default)]
struct Group {
    /// The workers, in the order in which they connected.
    streams: Vec<Stream>,
    /// The worker that got the last message, so that each has its turn.
    turn: usize,
}

struct Stream {
    number: u64,
    id: String,
    sender: Sender<Bytes>,
}

/// The offer of a task that may be acquired.
struct Offer {
    version: u64,
    target: String,
    /// The earliest time at which it may be sent.
    from_ms: u64,
    /// When it is sent next; the same as in [`State::due`].
    at_ms: u64,
    told: bool,
    /// The number of its message that is on its way to a URL, or was last.
    number: u64,
    /// How often in a row a URL has not accepted it.
    refused: u32,
}

impl Offer {
    fn new(version: u64, target: &str, from_ms: u64) -> Self {
        Self { version, target: target.to_owned(), from_ms, at_ms: from_ms, told: false, number: 0, refused: 0 }
    }
}

/// A connected worker, until this is dropped.
pub(super) struct Connection {
    outbox: Arc<Outbox>,
    group: String,
    number: u64,
    pub(super) messages: Receiver<Bytes>,
}

/// The result of sending a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Yes,
    /// All workers that may have it have too many unread messages.
    Later,
    /// It is on its way to a URL.
    UnderWay,
    /// Too many messages are on their way to URLs.
    Full,
    /// No worker is connected.
    Nobody,
}

/// The recipient of a message: the workers of a group, preferably one of them, or only that one.
struct Address<'a> {
    group: &'a str,
    id: Option<&'a str>,
    only: bool,
}

impl<'a> Address<'a> {
    /// `None` if it is not the address of a worker that connects.
    fn parse(address: &'a str) -> Option<Self> {
        let (cast, rest) = address.strip_prefix("poll://")?.split_once('@')?;
        let (group, id) = rest.split_once('/').map_or((rest, None), |(group, id)| (group, Some(id)));
        Some(Self { group, id, only: cast == "uni" })
    }
}

impl Group {
    /// Sends a message to one of the workers that may have it, the preferred one first.
    fn tell(&mut self, address: &Address<'_>, message: &Bytes) -> Told {
        let preferred = self.streams.iter().filter(|stream| address.id.is_some_and(|id| stream.id == id));
        let count = self.streams.len().max(1);
        let others = (0..self.streams.len()).map(|step| &self.streams[(self.turn + step) % count]);
        let others = others.filter(|_| !address.only);
        let mut told = Told::Nobody;
        for stream in preferred.chain(others) {
            told = match stream.sender.try_send(message.clone()) {
                Ok(()) => Told::Yes,
                Err(TrySendError::Full(_)) => Told::Later,
                Err(TrySendError::Closed(_)) => told,
            };
            if told == Told::Yes {
                break;
            }
        }
        self.turn = self.turn.wrapping_add(1) % count;
        told
    }
}

impl Outbox {
    /// An outbox without offers; [`look`](Self::look) reads those of the store.
    pub(super) fn new(url: String, store: Arc<dyn Backend>, pushes: Option<Pushes>) -> Self {
        let (delivered, dropped) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { url, store, pushes, state: Mutex::default(), earlier: Notify::new(), delivered, dropped }
    }

    /// Reads the offers of the store.
    pub(super) fn look(&self) -> Result<(), Error> {
        let now_ms = SystemClock.now_ms();
        for id in self.store.offers()? {
            if let Some((promise, Some(task))) = self.store.promise(&id)?
                && let Some(target) = promise.target()
                && !Invocation::is_for_hosts(&promise)
            {
                let from_ms = delay(&promise.tags).unwrap_or_default().max(now_ms);
                let mut state = self.state();
                state.take(&id);
                state.offer(id, Offer::new(task.version, target, from_ms));
            }
        }
        Ok(())
    }

    /// Whether a task is an execution of Everstep, which the hosts of this store run rather than a connected worker.
    fn runs_elsewhere(&self, id: &str) -> bool {
        let called = || Some(Invocation::is_for_hosts(&self.store.promise(id).ok()??.0));
        self.store.survives_the_process() && called().unwrap_or_default()
    }

    /// Connects a worker; `None` if there are too many, or the server is ending.
    pub(super) fn connect(self: &Arc<Self>, group: &str, id: &str) -> Option<Connection> {
        let mut state = self.state();
        if state.streams >= STREAMS || state.closed {
            return None;
        }
        let (sender, messages) = channel(BEHIND);
        state.streams += 1;
        state.next += 1;
        let number = state.next;
        let streams = &mut state.groups.entry(group.to_owned()).or_default().streams;
        streams.push(Stream { number, id: id.to_owned(), sender });
        let now_ms = SystemClock.now_ms();
        let waiting = state.offers.iter().filter(|(_, offer)| {
            let is_for = |address: Address<'_>| address.group == group;
            !offer.told && offer.from_ms <= now_ms && Address::parse(&offer.target).is_some_and(is_for)
        });
        let waiting: Vec<String> = waiting.map(|(id, _)| id.clone()).collect();
        for id in waiting {
            state.tell_at(&id, now_ms);
        }
        self.earlier.notify_one();
        Some(Connection { outbox: Arc::clone(self), group: group.to_owned(), number, messages })
    }

    /// The number of connected workers.
    pub(super) fn streams(&self) -> usize {
        self.state().streams
    }

    /// The number of offered tasks.
    pub(super) fn offers(&self) -> usize {
        self.state().offers.len()
    }

    /// Ends all connections.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.groups.clear();
    }

    /// Sends the messages that are due, for as long as the server runs.
    pub(super) async fn work(&self, writer: &Writer) {
        loop {
            let earlier = self.earlier.notified();
            tokio::pin!(earlier);
            earlier.as_mut().enable();
            let now_ms = SystemClock.now_ms();
            let (due, next) = {
                let state = self.state();
                let due: Vec<_> =
                    state.due.iter().take_while(|(at, _)| *at <= now_ms).map(|(_, id)| id.clone()).collect();
                (due, state.due.first().map(|(at, _)| *at))
            };
            for id in &due {
                self.tell_again(id, writer).await;
            }
            if !due.is_empty() {
                continue;
            }
            let wait = async {
                match next {
                    Some(at) => tokio::time::sleep(Duration::from_millis(at.saturating_sub(now_ms))).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => {}
                () = earlier => {}
            }
        }
    }

    /// Sends the offer of a task again, unless it can no longer be acquired.
    async fn tell_again(&self, id: &str, writer: &Writer) {
        let version = {
            let mut state = self.state();
            let Some(offer) = state.offers.get(id) else { return };
            let is_there = match Address::parse(&offer.target) {
                Some(to) => state.groups.contains_key(to.group),
                None => self.pushes.as_ref().is_some_and(|pushes| pushes.admits(&offer.target)),
            };
            if !is_there {
                return state.tell_at(id, SystemClock.now_ms() + AGAIN_MS);
            }
            offer.version
        };
        let found = writer.operate(Operation::TaskGet { id: id.to_owned() }, None, None).await;
        let is_offered =
            matches!(found, Some(Ok(Reply::Task(task))) if task.state == TaskState::Pending && task.version == version);
        let mut state = self.state();
        if state.offers.get(id).is_none_or(|offer| offer.version != version) {
            // It was acquired, or offered anew, meanwhile.
        } else if is_offered {
            self.tell(&mut state, id, SystemClock.now_ms());
        } else {
            state.take(id);
        }
    }

    fn tell(&self, state: &mut State, id: &str, now_ms: u64) {
        let Some(mut offer) = state.take(id) else { return };
        state.next += 1;
        let number = state.next;
        let told = match Address::parse(&offer.target) {
            Some(to) => self.send(state, &to, &wire::execute(&self.url, id, offer.version)),
            None => self.push(&offer.target, Message::Execute { id: id.to_owned(), version: offer.version, number }),
        };
        (offer.told, offer.number) = (told == Told::Yes, number);
        offer.at_ms = match told {
            Told::UnderWay => NEVER_MS,
            Told::Later => now_ms + SOON_MS,
            Told::Full => now_ms + REFUSED_MS,
            Told::Yes | Told::Nobody => now_ms + AGAIN_MS,
        };
        state.offer(id.to_owned(), offer);
    }

    fn send(&self, state: &mut State, to: &Address<'_>, message: &str) -> Told {
        let event = Bytes::from(format!("data: {message}\n\n"));
        let told = state.groups.get_mut(to.group).map_or(Told::Nobody, |group| group.tell(to, &event));
        self.count(told == Told::Yes);
        told
    }

    fn push(&self, address: &str, message: Message) -> Told {
        let told = match self.pushes.as_ref().filter(|pushes| pushes.admits(address)) {
            Some(pushes) => pushes.put(address, message).map_or(Told::Full, |()| Told::UnderWay),
            None => Told::Nobody,
        };
        if told != Told::UnderWay {
            self.count(false);
        }
        told
    }

    fn unblock(&self, address: &str, promise: &Promise) {
        let message = wire::unblock(promise);
        match Address::parse(address) {
            Some(to) => self.send(&mut self.state(), &to, &message),
            None => self.push(address, Message::Unblock(message.into())),
        };
    }

    fn count(&self, is_delivered: bool) {
        let count = if is_delivered { &self.delivered } else { &self.dropped };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Completes when no message is on its way to a URL.
    pub(super) async fn drained(&self) {
        if let Some(pushes) = &self.pushes {
            pushes.drained().await;
        }
    }

    /// Sends the messages to URLs, for as long as the server runs.
    pub(super) async fn post(self: Arc<Self>) {
        let Some(pushes) = &self.pushes else { return };
        let mut under_way = JoinSet::new();
        loop {
            while let Some(letter) = pushes.next() {
                under_way.spawn(Arc::clone(&self).deliver(letter));
            }
            tokio::select! {
                () = pushes.more() => {}
                Some(_) = under_way.join_next() => {}
            }
        }
    }

    async fn deliver(self: Arc<Self>, letter: Letter) {
        let message = match &letter.message {
            Message::Unblock(text) => text.clone(),
            Message::Execute { id, version, number } => {
                let is_offered = |offer: &Offer| offer.number == *number;
                if !self.state().offers.get(id).is_some_and(is_offered) {
                    // It was acquired, or offered anew, meanwhile.
                    return;
                }
                wire::execute(&self.url, id, *version).into()
            }
        };
        let Some(pushes) = &self.pushes else { return };
        let outcome = pushes.carrier.post(&letter.address, message).await;
        self.count(outcome.is_ok());
        pushes.note(&letter, &outcome);
        if let Message::Execute { id, number, .. } = &letter.message {
            self.posted(id, *number, outcome.is_ok());
        }
    }

    /// Sets when an offer is repeated after a URL has, or has not, accepted its message.
    fn posted(&self, id: &str, number: u64, is_taken: bool) {
        let mut state = self.state();
        if state.offers.get(id).is_none_or(|offer| offer.number != number) {
            return;
        }
        let Some(mut offer) = state.take(id) else { return };
        let wait_ms = if is_taken { AGAIN_MS } else { refused_ms(offer.refused) };
        offer.refused = if is_taken { 0 } else { offer.refused.saturating_add(1) };
        (offer.told, offer.at_ms) = (is_taken, SystemClock.now_ms() + wait_ms);
        state.offer(id.to_owned(), offer);
        self.earlier.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn offer(&mut self, id: String, offer: Offer) {
        self.due.insert((offer.at_ms, id.clone()));
        self.offers.insert(id, offer);
    }

    fn tell_at(&mut self, id: &str, at_ms: u64) {
        if let Some(offer) = self.take(id) {
            self.offer(id.to_owned(), Offer { at_ms, ..offer });
        }
    }

    fn take(&mut self, id: &str) -> Option<Offer> {
        let offer = self.offers.remove(id)?;
        self.due.remove(&(offer.at_ms, id.to_owned()));
        Some(offer)
    }
}

impl Observer for Arc<Outbox> {
    fn observe(&self, operation: Option<&Operation>, applied: &Applied) {
        if let Ok(Reply::Claimed { task, .. }) = &applied.answer {
            self.state().take(&task.id);
        }
        for event in &applied.events {
            match event {
                Event::Settled(promise) => drop(self.state().take(&promise.id)),
                Event::Unblock { address, promise } => self.unblock(address, promise),
                Event::Execute { id, .. } if self.runs_elsewhere(id) => {}
                Event::Execute { id, version, target } => {
                    let now_ms = SystemClock.now_ms();
                    let from_ms = operation.and_then(|operation| delayed(operation, id)).unwrap_or(now_ms);
                    let mut state = self.state();
                    state.take(id);
                    state.offer(id.clone(), Offer::new(*version, target, from_ms));
                    if from_ms <= now_ms {
                        self.tell(&mut state, id, now_ms);
                    }
                    self.earlier.notify_one();
                }
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.outbox.state();
        state.streams -= 1;
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.streams.retain(|stream| stream.number != self.number);
            if group.streams.is_empty() {
                state.groups.remove(&self.group);
            }
        }
    }
}

/// How long to wait before an offer is repeated that a URL has not accepted, after `before` earlier failures.
fn refused_ms(before: u32) -> u64 {
    REFUSED_MS.saturating_mul(1 << before.min(16)).min(AGAIN_MS)
}

/// The time before which a promise that an operation creates must not be offered.
fn delayed(operation: &Operation, id: &str) -> Option<u64> {
    let (Operation::PromiseCreate(new) | Operation::TaskFence { action: FenceAction::Create(new), .. }) = operation
    else {
        return None;
    };
    delay(&new.tags).filter(|_| new.id == id)
}

fn delay(tags: &std::collections::BTreeMap<String, String>) -> Option<u64> {
    tags.get(tag::DELAY)?.parse().ok()
}
