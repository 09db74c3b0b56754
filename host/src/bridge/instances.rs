//! The instances of the pool, and the memory that all of them may have: who waits for some, and who gives its own up.
//!
//! An execution that computes has room for all that its policy allows; one that waits keeps what its instance has taken, and gives the
//! rest back. So what instances have taken together never exceeds the budget of the host, and nobody who computes is stopped for it:
//! others wait for their turn, and those that have waited for longest give up their instance first.

use crate::engine::{Footprint, Held};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// The grain in which memory is given out, in bytes.
const PAGE: u64 = 64 << 10;
/// The most pages that can be counted, which is more than any machine has.
const MOST_PAGES: u64 = u32::MAX as u64 >> 3;

/// See the module.
pub(crate) struct Instances {
    count: u32,
    free: Arc<Semaphore>,
    /// One permit a page.
    room: Arc<Semaphore>,
    pages: u32,
    held: Arc<Held>,
    keep_warm: Duration,
    turns: Mutex<Turns>,
}

/// Who rests, and who waits for what others have.
#[derive(Default)]
struct Turns {
    next: u64,
    /// Those that only wait, in the order in which they began to.
    resting: BTreeMap<u64, Resting>,
    /// Pages of those that were asked to give up their instance, and have not.
    leaving: BTreeMap<u64, u64>,
    /// How many wait for an instance.
    wanting: usize,
    /// How many pages are waited for.
    wanted: u64,
}

struct Resting {
    pages: u64,
    asked: oneshot::Sender<()>,
}

impl Instances {
    /// `memory` is what all instances may have together, in bytes.
    pub(crate) fn new(count: u32, memory: u64, keep_warm: Duration) -> Self {
        let pages = (memory / PAGE).clamp(1, MOST_PAGES) as u32;
        Self {
            count,
            free: Arc::new(Semaphore::new(count as usize)),
            room: Arc::new(Semaphore::new(pages as usize)),
            pages,
            held: Arc::default(),
            keep_warm,
            turns: Mutex::default(),
        }
    }

    /// An instance; when there is none, executions that only wait give up theirs.
    pub(crate) async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Some(permit);
        }
        let _wanting = Wanting::of(self, 1, 0);
        // The semaphore is never closed.
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    /// Room for an instance that may have so many bytes; when there is none, executions that only wait give up theirs.
    pub(crate) async fn room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        self.pages(self.pages_of(bytes)).await
    }

    /// So many pages; when there are none, executions that only wait give up theirs.
    pub(crate) async fn pages(&self, pages: u32) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.room).try_acquire_many_owned(pages) {
            return Some(permit);
        }
        let _wanting = Wanting::of(self, 0, u64::from(pages));
        // The semaphore is never closed. It serves those first who came first.
        Arc::clone(&self.room).acquire_many_owned(pages).await.ok()
    }

    /// The most bytes that one instance may have of those that its policy allows.
    pub(crate) fn most(&self, bytes: u64) -> u64 {
        bytes.min(u64::from(self.pages) * PAGE)
    }

    /// What a new instance takes is counted here.
    pub(crate) fn footprint(&self) -> Arc<Footprint> {
        Arc::new(Footprint::new(Arc::clone(&self.held)))
    }

    /// How many instances there are.
    pub(crate) fn in_use(&self) -> usize {
        (self.count as usize).saturating_sub(self.free.available_permits())
    }

    /// What instances have taken.
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    fn pages_of(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(PAGE)).unwrap_or(u32::MAX).clamp(1, self.pages)
    }

    /// Keeps the pages that an instance has taken, and gives the others back.
    fn shrink(&self, room: &mut OwnedSemaphorePermit, bytes: u64) {
        let unused = room.num_permits().saturating_sub(self.pages_of(bytes) as usize);
        drop(room.split(unused));
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks those that have rested for longest to give up their instance, as many as are needed.
    fn press(&self, turns: &mut Turns) {
        loop {
            let instances = self.free.available_permits() + turns.leaving.len();
            let pages = self.room.available_permits() as u64 + turns.leaving.values().sum::<u64>();
            if turns.wanting <= instances && turns.wanted <= pages {
                return;
            }
            let Some((number, Resting { pages, asked })) = turns.resting.pop_first() else { return };
            turns.leaving.insert(number, pages);
            // One that has gone on meanwhile takes itself off the list.
            let _ = asked.send(());
        }
    }
}

/// The room of an execution that runs.
pub(crate) struct Room {
    instances: Arc<Instances>,
    held: OwnedSemaphorePermit,
    full: u32,
    footprint: Arc<Footprint>,
}

impl Room {
    /// Room for an instance that may have so many bytes.
    pub(crate) async fn of(instances: &Arc<Instances>, bytes: u64, footprint: Arc<Footprint>) -> Option<Self> {
        let (held, full) = (instances.room(bytes).await?, instances.pages_of(bytes));
        Some(Self { instances: Arc::clone(instances), held, full, footprint })
    }

    /// Gives back what the instance has not taken.
    pub(crate) fn shrink(&mut self) {
        self.instances.shrink(&mut self.held, self.footprint.bytes());
    }

    /// Pages that are missing until it may take all that its policy allows.
    pub(crate) fn missing(&self) -> u32 {
        self.full.saturating_sub(u32::try_from(self.held.num_permits()).unwrap_or(u32::MAX))
    }

    /// Adds them.
    pub(crate) fn add(&mut self, pages: OwnedSemaphorePermit) {
        self.held.merge(pages);
    }

    /// How many pages it is.
    pub(crate) fn pages(&self) -> u64 {
        self.held.num_permits() as u64
    }
}

/// An execution that only waits, for as long as it does.
pub(crate) struct Rest {
    instances: Arc<Instances>,
    number: u64,
}

impl Rest {
    /// Begins now, with so many pages. The future completes when it should give up its instance: it has rested for long enough, or
    /// others need one.
    pub(crate) fn begin(instances: &Arc<Instances>, pages: u64) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (sender, asked) = oneshot::channel();
        let mut turns = instances.turns();
        turns.next += 1;
        let number = turns.next;
        turns.resting.insert(number, Resting { pages, asked: sender });
        instances.press(&mut turns);
        drop(turns);
        // Longer than a timer can be set is forever.
        let grace = instances.keep_warm.min(Duration::from_secs(u64::from(u32::MAX)));
        let over = async move {
            tokio::select! {
                () = tokio::time::sleep(grace) => {}
                Ok(()) = asked => {}
            }
        };
        (Self { instances: Arc::clone(instances), number }, over)
    }

    /// It cannot give up its instance now: another one has to.
    pub(crate) fn decline(&self) {
        let mut turns = self.instances.turns();
        turns.leaving.remove(&self.number);
        self.instances.press(&mut turns);
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let mut turns = self.instances.turns();
        turns.resting.remove(&self.number);
        turns.leaving.remove(&self.number);
    }
}

/// One who waits for an instance or for room, for as long as it lives.
struct Wanting<'i> {
    instances: &'i Instances,
    wanting: usize,
    wanted: u64,
}

impl<'i> Wanting<'i> {
    fn of(instances: &'i Instances, wanting: usize, wanted: u64) -> Self {
        let mut turns = instances.turns();
        turns.wanting += wanting;
        turns.wanted += wanted;
        instances.press(&mut turns);
        Self { instances, wanting, wanted }
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        let mut turns = self.instances.turns();
        turns.wanting -= self.wanting;
        turns.wanted -= self.wanted;
    }
}
