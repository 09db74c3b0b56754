//! What one store may allocate: memory, table elements, instances.

use std::fmt;
use wasmtime::ResourceLimiter;

/// The numbers of one store; each is a sum over all its instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of linear memory.
    pub memory: u64,
    /// Elements of tables.
    pub table_elements: u64,
    /// Core instances.
    pub instances: usize,
    /// Linear memories.
    pub memories: usize,
    /// Tables.
    pub tables: usize,
}

/// Counts what a store has allocated and refuses what goes beyond: `memory.grow` and `table.grow` return -1.
///
/// A growth that is allowed and then fails in the operating system stays counted: the engine reports such failures without
/// saying which growth they belong to, and taking back the wrong one would raise the limit.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    memory: u64,
    table_elements: u64,
    hit: Option<Hit>,
}

/// A limit that was reached: it may explain the trap that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    /// Linear memory, with its limit in bytes.
    Memory(u64),
    /// Table elements, with their limit.
    TableElements(u64),
}

impl Limiter {
    /// Nothing is allocated yet.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, memory: 0, table_elements: 0, hit: None }
    }

    /// The limit that was reached last.
    pub(crate) fn hit(&self) -> Option<Hit> {
        self.hit
    }

    /// Bytes of linear memory in use.
    #[cfg(test)]
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
        if total > self.limits.memory {
            self.hit = Some(Hit::Memory(self.limits.memory));
            return Ok(false);
        }
        self.memory = total;
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
            Self::TableElements(elements) => {
                write!(f, "the limit of {elements} table elements is reached (limits.table_elements)")
            }
        }
    }
}

/// Bytes in the largest binary unit that divides them.
fn size(bytes: u64) -> String {
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        .iter()
        .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}", bytes / unit))
}
