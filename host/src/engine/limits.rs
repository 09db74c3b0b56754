//! Limits the allocations of one store: memory, table elements, instances.

use crate::vfs::Vfs;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;
use wasmtime::ResourceLimiter;

/// The limits of one store; each is a sum over all its instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of linear memory.
    pub memory: u64,
    /// Whether the memory is all that the host has, and less than the policy allows.
    pub is_of_host: bool,
    /// Elements of tables.
    pub table_elements: u64,
    /// Core instances.
    pub instances: usize,
    /// Linear memories.
    pub memories: usize,
    /// Tables.
    pub tables: usize,
}

/// Counts the allocations of a store and refuses those beyond its limits: `memory.grow` and `table.grow` return -1.
///
/// A growth that is allowed and then fails in the operating system stays counted: the engine reports such failures without
/// saying which growth they belong to, and subtracting the wrong one would raise the limit.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    memory: u64,
    table_elements: u64,
    hit: Option<Hit>,
    footprint: Arc<Footprint>,
    /// The files of the guest, whose pages leave when the guest needs the memory.
    files: Option<Arc<Mutex<Vfs>>>,
    /// Bytes that the run keeps in memory for the guest, beside these.
    kept: u64,
    /// Bytes that the guest's requests have in memory.
    requests: Arc<AtomicU64>,
}

/// The linear memory that all instances have taken.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: AtomicU64,
    most: AtomicU64,
}

/// The linear memory that one instance has taken.
#[derive(Debug, Default)]
pub(crate) struct Footprint {
    bytes: AtomicU64,
    all: Arc<Held>,
}

impl Held {
    /// The current sum, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    /// The largest sum so far, in bytes.
    pub(crate) fn most(&self) -> u64 {
        self.most.load(Ordering::SeqCst)
    }
}

impl Footprint {
    pub(crate) fn new(all: Arc<Held>) -> Self {
        Self { bytes: AtomicU64::new(0), all }
    }

    /// The current size, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    fn grow(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        let now = self.all.bytes.fetch_add(bytes, Ordering::SeqCst).saturating_add(bytes);
        self.all.most.fetch_max(now, Ordering::SeqCst);
    }

    fn clear(&self) {
        self.all.bytes.fetch_sub(self.bytes.swap(0, Ordering::SeqCst), Ordering::SeqCst);
    }
}

/// The memory is released with its store.
impl Drop for Limiter {
    fn drop(&mut self) {
        self.footprint.clear();
    }
}

/// A limit that was reached: it may explain the trap that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    /// Linear memory, with its limit in bytes.
    Memory(u64),
    /// The same, if the host has less than the policy allows.
    Host(u64),
    /// Table elements, with their limit.
    TableElements(u64),
}

impl Limiter {
    /// A limiter of a store without allocations.
    pub(crate) fn new(limits: Limits, footprint: Arc<Footprint>) -> Self {
        Self {
            limits,
            memory: 0,
            table_elements: 0,
            hit: None,
            footprint,
            files: None,
            kept: 0,
            requests: Arc::default(),
        }
    }

    /// The limit that was reached last.
    pub(crate) fn hit(&self) -> Option<Hit> {
        self.hit
    }

    /// Lets the guest's memory, its files and its `requests`, which have that many bytes, share the limit.
    pub(crate) fn share_with(&mut self, files: Arc<Mutex<Vfs>>, requests: Arc<AtomicU64>) {
        (self.files, self.requests) = (Some(files), requests);
    }

    /// Notes what the run keeps in memory beside the files.
    pub(crate) fn note_kept(&mut self, bytes: u64) {
        self.kept = bytes;
    }

    /// Bytes that the guest's requests have in memory.
    pub(crate) fn held_by_requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Whether files leave that much for the guest; their pages go first.
    fn is_left_by_files(&self, memory: u64) -> bool {
        let Some(files) = &self.files else { return true };
        let beside = self.kept.saturating_add(self.held_by_requests());
        let room = self.limits.memory.checked_sub(memory).and_then(|rest| rest.checked_sub(beside));
        // No call of the guest is under way while its memory grows.
        room.is_some_and(|room| files.try_lock().is_ok_and(|mut files| files.shrink(room)))
    }

    /// Bytes of linear memory in use.
    pub(crate) fn memory(&self) -> u64 {
        self.memory
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let growth = desired.saturating_sub(current) as u64;
        let total = self.memory.saturating_add(growth);
        if total > self.limits.memory || !self.is_left_by_files(total) {
            let hit = if self.limits.is_of_host { Hit::Host } else { Hit::Memory };
            self.hit = Some(hit(self.limits.memory));
            return Ok(false);
        }
        self.memory = total;
        self.footprint.grow(growth);
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let growth = desired.saturating_sub(current) as u64;
        let total = self.table_elements.saturating_add(growth);
        if total > self.limits.table_elements {
            self.hit = Some(Hit::TableElements(self.limits.table_elements));
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.tables
    }

    fn memories(&self) -> usize {
        self.limits.memories
    }
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(bytes) => write!(f, "the limit of {} of memory is reached (limits.memory)", size(*bytes)),
            Self::Host(bytes) => write!(f, "the host has {} for all of its instances (--memory)", size(*bytes)),
            Self::TableElements(elements) => {
                write!(f, "the limit of {elements} table elements is reached (limits.table_elements)")
            }
        }
    }
}

/// A size in the largest binary unit that divides it.
fn size(bytes: u64) -> String {
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        .iter()
        .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}", bytes / unit))
}
