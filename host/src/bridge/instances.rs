//! The instances of the pool and the memory that they share: which executions wait for either, and which release
//! theirs.
//!
//! An execution that computes has room for all the memory that its policy allows; one that waits keeps what its instance has taken, and
//! returns the rest. So no computing execution is stopped for want of memory: others wait for their turn, and those that have waited
//! longest for promises release their instance first. If no execution computes and none can release its instance, because effects of this
//! host are under way in each, the next one gets its turn anyway and exceeds the budget.

use crate::engine::{Footprint, Held};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// The unit in which memory is given out, in bytes.
const PAGE: u64 = 64 << 10;

/// See the module.
pub(crate) struct Instances {
    /// The memory of all instances together, in pages.
    pages: u64,
    held: Arc<Held>,
    keep_warm: Duration,
    turns: Mutex<Turns>,
}

/// The rooms in use, and the executions that wait for one.
struct Turns {
    next: u64,
    /// Free instances of the pool.
    seats: usize,
    /// The executions that wait for an instance.
    wanting: BTreeMap<u64, oneshot::Sender<()>>,
    /// Free pages; negative while an execution exceeds the budget.
    free: i64,
    rooms: BTreeMap<u64, Entry>,
    /// How many of the rooms wait for their turn.
    queued: usize,
}

/// The state of a room.
struct Entry {
    /// The pages that its execution needs to compute.
    full: u64,
    held: u64,
    computes: bool,
    /// Since when it waits for its turn, and the sender that announces the turn.
    queued: Option<(u64, oneshot::Sender<()>)>,
    rest: Option<Rest>,
}

/// An execution that only waits.
struct Rest {
    since: u64,
    /// Asks the execution to release its instance; `None` once it was asked.
    ask: Option<oneshot::Sender<()>>,
    /// The execution cannot release its instance.
    stays: bool,
}

impl Entry {
    fn missing(&self) -> i64 {
        pages(self.full.saturating_sub(self.held))
    }

    /// Since when it rests, if it can be asked to release its instance.
    fn may_be_asked(&self) -> Option<u64> {
        self.rest.as_ref().filter(|rest| !self.computes && !rest.stays && rest.ask.is_some()).map(|rest| rest.since)
    }

    /// Whether it is about to release its instance.
    fn leaves(&self) -> bool {
        !self.computes && self.rest.as_ref().is_some_and(|rest| rest.ask.is_none() && !rest.stays)
    }
}

impl Instances {
    /// A pool of `count` instances; `memory` is for all of them together, in bytes.
    pub(crate) fn new(count: u32, memory: u64, keep_warm: Duration) -> Self {
        let all = (memory / PAGE).max(1);
        let turns = Turns {
            next: 0,
            seats: count as usize,
            wanting: BTreeMap::new(),
            free: pages(all),
            rooms: BTreeMap::new(),
            queued: 0,
        };
        Self { pages: all, held: Arc::default(), keep_warm, turns: Mutex::new(turns) }
    }

    /// Waits for an instance of the pool; if none is free, executions that only wait release theirs.
    pub(crate) async fn seat(self: &Arc<Self>) -> Seat {
        let (sender, turn) = oneshot::channel();
        let number = {
            let mut turns = self.turns();
            let number = turns.number();
            turns.wanting.insert(number, sender);
            self.serve(&mut turns);
            number
        };
        let wanting = Wanting { instances: self, number };
        // The sender is kept until it is used.
        let _ = turn.await;
        std::mem::forget(wanting);
        Seat(Arc::clone(self))
    }

    /// Waits for room for an instance of so many bytes; if there is none, executions that only wait release their
    /// instances.
    pub(crate) async fn room(self: &Arc<Self>, bytes: u64) -> Room {
        let entry = Entry { full: self.pages_of(bytes), held: 0, computes: false, queued: None, rest: None };
        let number = {
            let mut turns = self.turns();
            let number = turns.number();
            turns.rooms.insert(number, entry);
            number
        };
        let room = Room { instances: Arc::clone(self), number };
        room.turn().await;
        room
    }

    /// The most bytes that one instance may have, given that its policy allows `bytes`.
    pub(crate) fn most(&self, bytes: u64) -> u64 {
        bytes.min(self.pages * PAGE)
    }

    /// A counter of the memory that a new instance takes.
    pub(crate) fn footprint(&self) -> Arc<Footprint> {
        Arc::new(Footprint::new(Arc::clone(&self.held)))
    }

    /// How many instances hold memory.
    pub(crate) fn in_use(&self) -> usize {
        self.turns().rooms.values().filter(|room| room.held > 0).count()
    }

    /// The memory that all instances have taken.
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    fn pages_of(&self, bytes: u64) -> u64 {
        bytes.div_ceil(PAGE).clamp(1, self.pages)
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives turns to those that have queued longest, and asks those that have rested longest to release their instances, as many as the
    /// next one needs.
    fn serve(&self, turns: &mut Turns) {
        while turns.queued > 0 || !turns.wanting.is_empty() {
            if turns.seats > 0
                && let Some((_, turn)) = turns.wanting.pop_first()
            {
                turns.seats -= 1;
                // An execution that stops waiting removes its sender first.
                let _ = turn.send(());
                continue;
            }
            let next = turns.rooms.iter().filter_map(|(number, room)| Some((room.queued.as_ref()?.0, *number))).min();
            let next = next.map(|(_, number)| number);
            let missing = next.and_then(|next| turns.rooms.get(&next)).map_or(0, Entry::missing);
            if let Some(next) = next.filter(|_| missing <= turns.free) {
                turns.begin(next);
                continue;
            }
            let (mut leaving, mut coming) = (0, turns.free);
            for room in turns.rooms.values().filter(|room| room.leaves()) {
                (leaving, coming) = (leaving + 1, coming + pages(room.held));
            }
            if turns.wanting.len() <= leaving && missing <= coming {
                return;
            }
            let others = turns.rooms.iter_mut().filter(|(number, _)| Some(**number) != next);
            let oldest =
                others.filter_map(|(_, room)| Some((room.may_be_asked()?, room))).min_by_key(|(since, _)| *since);
            if let Some(ask) = oldest.and_then(|(_, room)| room.rest.as_mut()?.ask.take()) {
                // An execution that resumes at this moment gets its turn first.
                let _ = ask.send(());
                continue;
            }
            match next {
                Some(next) if leaving == 0 && !turns.rooms.values().any(|room| room.computes) => turns.begin(next),
                _ => return,
            }
        }
    }
}

impl Turns {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Lets the execution of a room compute.
    fn begin(&mut self, number: u64) {
        let Some(room) = self.rooms.get_mut(&number) else { return };
        self.free -= room.missing();
        (room.held, room.computes) = (room.full, true);
        if let Some((_, turn)) = room.queued.take() {
            self.queued -= 1;
            // The execution may have stopped waiting.
            let _ = turn.send(());
        }
    }
}

/// An instance of the pool, for as long as it is held.
pub(crate) struct Seat(Arc<Instances>);

impl Drop for Seat {
    fn drop(&mut self) {
        let mut turns = self.0.turns();
        turns.seats += 1;
        self.0.serve(&mut turns);
    }
}

/// The memory that an instance may take, for as long as the instance lives.
pub(crate) struct Room {
    instances: Arc<Instances>,
    number: u64,
}

impl Room {
    /// Waits until the instance may take all the memory that its policy allows. Cancel-safe.
    pub(crate) async fn turn(&self) {
        let waits = self.entry(|turns, number| {
            let since = turns.number();
            let room = turns.rooms.get_mut(&number)?;
            if room.computes || room.missing() == 0 {
                room.computes = true;
                return None;
            }
            let (sender, turn) = oneshot::channel();
            if room.queued.replace((since, sender)).is_none() {
                turns.queued += 1;
            }
            Some(turn)
        });
        if let Some(turn) = waits {
            let _queued = Queued(self);
            // The sender is kept until it is used.
            let _ = turn.await;
        }
    }

    /// Marks the execution as waiting: keeps so many bytes, which the instance has taken, and returns the others. The future completes
    /// when the instance should be released: it has rested long enough, or others need one.
    pub(crate) fn rest(&self, bytes: u64) -> impl Future<Output = ()> + Send + use<> {
        let (sender, asked) = oneshot::channel();
        self.entry(|turns, number| {
            let since = turns.number();
            let room = turns.rooms.get_mut(&number)?;
            room.rest = Some(Rest { since, ask: Some(sender), stays: false });
            Some(())
        });
        self.shrink(bytes);
        // A longer time than a timer can be set to counts as forever.
        let grace = self.instances.keep_warm.min(Duration::from_secs(u64::from(u32::MAX)));
        async move {
            tokio::select! {
                () = tokio::time::sleep(grace) => {}
                Ok(()) = asked => {}
            }
        }
    }

    /// Keeps so many bytes of the room, and returns the others, while the execution keeps waiting.
    pub(crate) fn shrink(&self, bytes: u64) {
        let kept = self.instances.pages_of(bytes);
        self.entry(|turns, number| {
            let room = turns.rooms.get_mut(&number)?;
            let unused = room.held.saturating_sub(kept);
            (room.held, room.computes) = (room.held - unused, false);
            turns.free += pages(unused);
            Some(())
        });
    }

    /// Notes that the instance cannot be released now: another one has to be.
    pub(crate) fn stay(&self) {
        self.entry(|turns, number| {
            turns.rooms.get_mut(&number)?.rest.as_mut()?.stays = true;
            Some(())
        });
    }

    /// Ends the rest: the execution continues if it has its turn, and releases its instance otherwise.
    pub(crate) fn end_rest(&self) {
        self.entry(|turns, number| {
            let room = turns.rooms.get_mut(&number)?;
            if room.computes {
                room.rest = None;
            } else if let Some(rest) = &mut room.rest {
                (rest.ask, rest.stays) = (None, false);
            }
            Some(())
        });
    }

    /// Applies a change, and gives out what it has freed.
    fn entry<T>(&self, change: impl FnOnce(&mut Turns, u64) -> Option<T>) -> Option<T> {
        let mut turns = self.instances.turns();
        let changed = change(&mut turns, self.number);
        self.instances.serve(&mut turns);
        changed
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.entry(|turns, number| {
            let room = turns.rooms.remove(&number)?;
            turns.queued -= usize::from(room.queued.is_some());
            turns.free += pages(room.held);
            Some(())
        });
    }
}

/// A room's place in the queue, left when dropped.
struct Queued<'r>(&'r Room);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.entry(|turns, number| {
            let queued = turns.rooms.get_mut(&number)?.queued.take();
            turns.queued -= usize::from(queued.is_some());
            Some(())
        });
    }
}

/// An execution's place among those that wait for an instance, left when dropped.
struct Wanting<'i> {
    instances: &'i Instances,
    number: u64,
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        let mut turns = self.instances.turns();
        if turns.wanting.remove(&self.number).is_none() {
            // It was given an instance at this moment.
            turns.seats += 1;
            self.instances.serve(&mut turns);
        }
    }
}

fn pages(pages: u64) -> i64 {
    i64::try_from(pages).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const LONG: Duration = Duration::from_secs(3600);

    fn instances(seats: u32, pages: u64) -> Arc<Instances> {
        Arc::new(Instances::new(seats, pages * PAGE, LONG))
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        future.now_or_never().expect("has its turn at once")
    }

    #[tokio::test]
    async fn those_that_rest_leave_in_their_order_and_no_more_than_are_needed() {
        let instances = instances(3, 12);
        let seats: Vec<_> = (0..3).map(|_| now(instances.seat())).collect();
        let rooms: Vec<_> = (0..3).map(|_| now(instances.room(4 * PAGE))).collect();
        let mut rests: Vec<_> = rooms.iter().map(|room| Box::pin(room.rest(2 * PAGE))).collect();
        let mut asked = || rests.iter_mut().map(|rest| rest.now_or_never().is_some()).collect::<Vec<_>>();
        assert_eq!(asked(), [false, false, false]);
        let mut fourth = Box::pin(instances.seat());
        assert!(fourth.as_mut().now_or_never().is_none());
        assert_eq!(asked(), [true, false, false]);
        let (mut seats, mut rooms) = (seats.into_iter(), rooms.into_iter());
        drop((seats.next(), rooms.next()));
        drop(now(fourth));
        // 8 of 12 pages are free, and 10 are wanted.
        let fifth = now(instances.room(8 * PAGE));
        let mut sixth = Box::pin(instances.room(2 * PAGE));
        assert!(sixth.as_mut().now_or_never().is_none());
        assert_eq!(rests[1].as_mut().now_or_never(), Some(()));
        assert_eq!(rests[2].as_mut().now_or_never(), None);
        drop(rooms.next());
        drop((now(sixth), fifth));
        let turns = instances.turns();
        assert_eq!((turns.seats, turns.free), (1, 10));
    }

    #[tokio::test]
    async fn one_that_goes_on_or_cannot_leave_makes_another_one_leave() {
        let instances = instances(3, 6);
        let rooms: Vec<_> = (0..3).map(|_| now(instances.room(2 * PAGE))).collect();
        let mut rests: Vec<_> = rooms.iter().map(|room| Box::pin(room.rest(2 * PAGE))).collect();
        let mut fourth = Box::pin(instances.room(2 * PAGE));
        assert!(fourth.as_mut().now_or_never().is_none());
        assert_eq!(rests[0].as_mut().now_or_never(), Some(()));
        rooms[0].stay();
        assert_eq!(rests[1].as_mut().now_or_never(), Some(()));
        now(rooms[1].turn());
        rooms[1].end_rest();
        assert_eq!(rests[2].as_mut().now_or_never(), Some(()));
        rooms[2].end_rest();
        assert!(fourth.as_mut().now_or_never().is_none());
        drop(rooms);
        now(fourth);
    }

    #[tokio::test]
    async fn one_has_its_turn_in_any_case_when_nobody_computes_or_can_leave() {
        let instances = instances(3, 4);
        let rooms: Vec<_> = (0..2).map(|_| now(instances.room(2 * PAGE))).collect();
        let _rests: Vec<_> = rooms.iter().map(|room| room.rest(2 * PAGE)).collect();
        rooms[0].stay();
        let mut third = Box::pin(instances.room(3 * PAGE));
        assert!(third.as_mut().now_or_never().is_none(), "the second is about to leave");
        rooms[1].stay();
        let third = now(third);
        assert_eq!(instances.turns().free, -3);
        let mut fourth = Box::pin(instances.room(PAGE));
        assert!(fourth.as_mut().now_or_never().is_none(), "the third computes");
        drop(third);
        now(fourth);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_keeps_nothing_and_nobody() {
        let instances = instances(1, 4);
        let (seat, room) = (now(instances.seat()), now(instances.room(3 * PAGE)));
        let (mut seats, mut rooms) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            seats.push(Box::pin(instances.seat()));
            rooms.push(Box::pin(instances.room(3 * PAGE)));
        }
        seats.iter_mut().for_each(|seat| assert!(seat.as_mut().now_or_never().is_none()));
        rooms.iter_mut().for_each(|room| assert!(room.as_mut().now_or_never().is_none()));
        drop((seats.remove(0), rooms.remove(0)));
        drop((seat, room));
        // Given their turn, but not polled since.
        drop((seats.remove(0), rooms.remove(0)));
        now(seats.remove(0));
        now(rooms.remove(0));
        let turns = instances.turns();
        assert_eq!((turns.seats, turns.free, turns.rooms.len(), turns.queued), (1, 4, 0, 0));
    }
}
