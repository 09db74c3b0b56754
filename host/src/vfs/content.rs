//! The content of one file: pages in memory, over the file on disk.
//!
//! A page that is there is right from its `from` on, whatever the disk holds; before that, and where there is no page, the disk's bytes show
//! up to `stored`, and zeros after it.

use super::disk::{How, Part, Save, Status};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The bytes of a page, and the most that are read from disk at once.
pub(crate) const PAGE: u64 = 1 << 20;

/// The assumed cost of a page besides its bytes.
const PAGE_COST: u64 = 128;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Content {
    size: u64,
    stored: u64,
    pages: BTreeMap<u64, Page>,
    /// The file as it was last seen on disk; `None`: it was never there.
    on_disk: Option<Status>,
    /// Bytes of all pages, and of the changed ones.
    held: u64,
    dirty: u64,
    /// Whether all that has changed was added to the end, wherever that is.
    only_appended: bool,
}

#[derive(Debug)]
struct Page {
    from: usize,
    /// From `from` on.
    bytes: Arc<Vec<u8>>,
    /// The part that the disk does not have, from the begin of the page.
    changed: Option<Range<usize>>,
    used: u64,
}

impl Page {
    fn cost(&self) -> u64 {
        self.bytes.len() as u64 + PAGE_COST
    }

    fn end(&self) -> usize {
        self.from + self.bytes.len()
    }
}

impl Content {
    /// A file that is new.
    pub(super) fn fresh() -> Self {
        Self { only_appended: true, ..Self::default() }
    }

    /// A file that is on disk.
    pub(super) fn of(status: Status) -> Self {
        let size = status.size;
        Self { size, stored: size, on_disk: Some(status), only_appended: true, ..Self::default() }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn on_disk(&self) -> Option<&Status> {
        self.on_disk.as_ref()
    }

    /// Bytes in memory.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Bytes in memory that the disk does not have.
    pub(super) fn dirty(&self) -> u64 {
        self.dirty
    }

    pub(super) fn has_pages(&self) -> bool {
        !self.pages.is_empty()
    }

    /// Whether the disk has something else.
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty > 0 || self.on_disk.is_none_or(|disk| disk.size != self.size || self.stored < disk.size)
    }

    /// How many bytes of a page the disk shows.
    fn stored_in(&self, page: u64) -> usize {
        self.stored.saturating_sub(page * PAGE).min(PAGE) as usize
    }

    /// The first page that has to be loaded to read these bytes.
    pub(super) fn missing(&self, range: Range<u64>) -> Option<u64> {
        let end = range.end.min(self.stored);
        if range.start >= end {
            return None;
        }
        let is_missing = |page: &u64| {
            let start = range.start.max(page * PAGE) - page * PAGE;
            self.pages.get(page).is_none_or(|it| (start as usize) < it.from)
        };
        (range.start / PAGE..=(end - 1) / PAGE).find(is_missing)
    }

    /// Whether a page has to be loaded before these bytes of it can be written.
    pub(super) fn is_missing_for(&self, page: u64, range: &Range<usize>) -> bool {
        let stored = self.stored_in(page);
        match self.pages.get(&page) {
            Some(it) => range.start < it.from,
            None => range.start < stored && !(range.start == 0 && range.end >= stored),
        }
    }

    /// The bytes to load for a page: offset and length.
    pub(super) fn extent(&self, page: u64) -> (u64, u64) {
        (page * PAGE, self.stored_in(page) as u64)
    }

    /// Takes the bytes that were loaded for a page. If the disk has fewer than it had, the file has become shorter.
    pub(super) fn fill(&mut self, page: u64, mut bytes: Vec<u8>, used: u64) {
        let expected = self.stored_in(page);
        bytes.truncate(expected);
        if bytes.len() < expected {
            let was_clean = !self.is_dirty();
            self.stored = page * PAGE + bytes.len() as u64;
            if was_clean {
                self.size = self.stored;
                self.on_disk.iter_mut().for_each(|status| status.size = self.stored);
                let after: Vec<u64> = self.pages.range(page + 1..).map(|(page, _)| *page).collect();
                after.into_iter().for_each(|page| drop(self.take(page)));
            }
        }
        let old = self.take(page);
        let mut changed = None;
        if let Some(old) = old {
            bytes.resize(old.from, 0);
            bytes.extend_from_slice(&old.bytes);
            changed = old.changed;
        }
        self.put(page, Page { from: 0, bytes: Arc::new(bytes), changed, used });
    }

    fn take(&mut self, page: u64) -> Option<Page> {
        let taken = self.pages.remove(&page)?;
        self.held -= taken.cost();
        if taken.changed.is_some() {
            self.dirty -= taken.cost();
        }
        Some(taken)
    }

    fn put(&mut self, number: u64, page: Page) {
        self.held += page.cost();
        if page.changed.is_some() {
            self.dirty += page.cost();
        }
        self.pages.insert(number, page);
    }

    /// The bytes from `offset` on, as far as the file has them; nothing may be missing there.
    pub(super) fn read(&mut self, offset: u64, len: u64, used: u64) -> Vec<u8> {
        let end = offset.saturating_add(len).min(self.size);
        if offset >= end {
            return Vec::new();
        }
        let mut bytes = vec![0; (end - offset) as usize];
        for (number, page) in self.pages.range_mut(offset / PAGE..=(end - 1) / PAGE) {
            page.used = used;
            let base = number * PAGE;
            let (start, stop) = ((base + page.from as u64).max(offset), (base + page.end() as u64).min(end));
            if start < stop {
                let from = (start - base) as usize - page.from;
                let held = page.bytes.get(from..from + (stop - start) as usize).unwrap_or_default();
                bytes[(start - offset) as usize..(stop - offset) as usize].copy_from_slice(held);
            }
        }
        bytes
    }

    /// How many bytes more a write to a page takes.
    pub(super) fn growth(&self, page: u64, range: &Range<usize>) -> u64 {
        let held = self.pages.get(&page).map_or(0, Page::end);
        range.end.saturating_sub(held) as u64 + PAGE_COST
    }

    /// Writes to a page, which is not missing for it.
    pub(super) fn write(&mut self, number: u64, start: usize, bytes: &[u8], used: u64) {
        let end = start + bytes.len();
        let stored = self.stored_in(number);
        let mut page = self.take(number).unwrap_or_else(|| {
            let from = if start >= stored { stored } else { 0 };
            Page { from, bytes: Arc::default(), changed: None, used }
        });
        let held = Arc::make_mut(&mut page.bytes);
        if held.len() < end - page.from {
            held.resize(end - page.from, 0);
        }
        held[start - page.from..end - page.from].copy_from_slice(bytes);
        page.changed = Some(match page.changed.take() {
            Some(old) => old.start.min(start)..old.end.max(end),
            None => start..end,
        });
        page.used = used;
        self.put(number, page);
        self.size = self.size.max(number * PAGE + end as u64);
    }

    /// Notes how the last write was made.
    pub(super) fn note_write(&mut self, appended: bool) {
        self.only_appended &= appended;
    }

    /// Cuts or extends the file; the new part is zero.
    pub(super) fn set_size(&mut self, size: u64) {
        self.only_appended = false;
        let (last, end) = (size / PAGE, (size % PAGE) as usize);
        let after: Vec<u64> = self.pages.range(last..).map(|(page, _)| *page).collect();
        for number in after {
            let Some(mut page) = self.take(number) else { continue };
            if number > last || end <= page.from {
                continue;
            }
            if page.end() > end {
                Arc::make_mut(&mut page.bytes).truncate(end - page.from);
                page.changed = page.changed.map(|old| old.start.min(end)..old.end.min(end)).filter(|it| !it.is_empty());
            }
            self.put(number, page);
        }
        self.stored = self.stored.min(size);
        self.size = size;
    }

    /// What has to leave for the disk to have this content. `whole`: only all of it will do.
    pub(super) fn to_save(&self, whole: bool) -> Save {
        let size = self.size;
        match self.on_disk {
            Some(disk) if self.only_appended && !whole && self.stored == disk.size => {
                Save { how: How::Append(disk.size), size, kept: self.stored, parts: self.changed() }
            }
            // Somebody else may have created it meanwhile, to append to it as well.
            None if self.only_appended && !whole => Save { how: How::Append(0), size, kept: 0, parts: self.changed() },
            Some(_) if !whole && self.missing(0..size).is_some() => {
                Save { how: How::Patch, size, kept: self.stored, parts: self.changed() }
            }
            _ => {
                let part = |(number, page): (&u64, &Page)| {
                    Part::new(number * PAGE + page.from as u64, &page.bytes, 0..page.bytes.len())
                };
                Save { how: How::Whole, size, kept: 0, parts: self.pages.iter().map(part).collect() }
            }
        }
    }

    /// About as many bytes as [`to_save`](Self::to_save) costs.
    pub(super) fn cost(&self) -> u64 {
        self.cost_after(true)
    }

    /// The same once something else is written, which is added to the end or not.
    pub(super) fn cost_after(&self, appends: bool) -> u64 {
        match self.on_disk {
            Some(disk) if self.only_appended && appends && self.stored == disk.size => self.size - disk.size,
            Some(_) if self.missing(0..self.size).is_some() => self.dirty,
            _ => self.size,
        }
    }

    fn changed(&self) -> Vec<Part> {
        let part = |(number, page): (&u64, &Page)| {
            let changed = page.changed.clone()?;
            let offset = number * PAGE + changed.start as u64;
            Some(Part::new(offset, &page.bytes, changed.start - page.from..changed.end - page.from))
        };
        self.pages.iter().filter_map(part).collect()
    }

    /// The disk has this content now.
    pub(super) fn note_saved(&mut self, status: Status) {
        self.pages.values_mut().for_each(|page| page.changed = None);
        (self.dirty, self.stored, self.only_appended) = (0, self.size, true);
        self.on_disk = Some(Status { size: self.size, ..status });
    }

    /// The same for a file whose times have changed.
    pub(super) fn note_status(&mut self, status: Status) {
        self.on_disk = Some(status);
    }

    /// Moves what was appended to the end of a file that has become another one meanwhile.
    pub(super) fn append_to(&mut self, status: Status, used: u64) {
        let appended: Vec<u8> = self.changed().iter().flat_map(|part| part.bytes().iter().copied()).collect();
        *self = Self::of(status);
        let mut rest = appended.as_slice();
        while !rest.is_empty() {
            let (page, start) = (self.size / PAGE, (self.size % PAGE) as usize);
            let (now, later) = rest.split_at(rest.len().min(PAGE as usize - start));
            self.write(page, start, now, used);
            rest = later;
        }
    }

    /// The unchanged pages, each with when it was last used.
    pub(super) fn clean(&self) -> impl Iterator<Item = (u64, u64)> {
        self.pages.iter().filter(|(_, page)| page.changed.is_none()).map(|(number, page)| (page.used, *number))
    }

    /// Lets go of an unchanged page.
    pub(super) fn evict(&mut self, page: u64) {
        self.take(page);
    }
}
