//! Reading and writing: all handles of a file share its pages.

use super::content::{Content, PAGE};
use super::disk::Disk;
use super::errno::{Errno, Result};
use super::tree::{Handle, NodeKind, Vfs};
use std::ops::Range;

/// More than a page takes besides its bytes.
const PAGE_ROOM: u64 = 512;

impl Vfs {
    /// At most `len` bytes from `offset` on, no more than a page of them; and whether the file ends after them.
    pub(crate) async fn read(
        &mut self,
        disk: &mut impl Disk,
        handle: Handle,
        offset: u64,
        len: u64,
    ) -> Result<(Vec<u8>, bool)> {
        self.content(handle.node)?;
        if !handle.flags.read {
            return Err(Errno::BadDescriptor.into());
        }
        // A page at most, and only one of them has to be there.
        let len = len.min(PAGE - offset % PAGE);
        self.load(disk, handle.node, offset..offset.saturating_add(len)).await?;
        let bytes = self.with_content(handle.node, |content, used| content.read(offset, len, used))?;
        let is_end = offset.saturating_add(bytes.len() as u64) >= self.content(handle.node)?.size();
        Ok((bytes, is_end))
    }

    /// Writes all of `bytes` at an offset.
    pub(crate) async fn write(
        &mut self,
        disk: &mut impl Disk,
        handle: Handle,
        offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        self.write_at(disk, handle, offset, bytes, false).await
    }

    /// Adds `bytes` to the end of the file, whoever else writes to it.
    pub(crate) async fn append(&mut self, disk: &mut impl Disk, handle: Handle, bytes: &[u8]) -> Result<()> {
        let end = self.content(handle.node)?.size();
        self.write_at(disk, handle, end, bytes, true).await
    }

    async fn write_at(
        &mut self,
        disk: &mut impl Disk,
        handle: Handle,
        offset: u64,
        bytes: &[u8],
        appends: bool,
    ) -> Result<()> {
        let size = self.content(handle.node)?.size();
        if !handle.flags.write {
            return Err(Errno::BadDescriptor.into());
        }
        let end = offset.checked_add(bytes.len() as u64).ok_or(Errno::FileTooLarge)?;
        if bytes.is_empty() {
            return Ok(());
        }
        self.check_size(disk, handle.node, size.max(end), (bytes.len() as u64, appends)).await?;
        let written = self.write_pages(disk, handle.node, offset, bytes, appends).await;
        self.changing = None;
        written
    }

    async fn write_pages(
        &mut self,
        disk: &mut impl Disk,
        node: u64,
        offset: u64,
        bytes: &[u8],
        appends: bool,
    ) -> Result<()> {
        self.begin_change(disk, node).await?;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            if appends {
                at = self.content(node)?.size();
            }
            let (page, start) = (at / PAGE, (at % PAGE) as usize);
            let (now, later) = rest.split_at(rest.len().min(PAGE as usize - start));
            let range = start..start + now.len();
            if self.content(node)?.is_missing_for(page, &range) {
                self.load_page(disk, node, page).await?;
            }
            let growth = self.content(node)?.growth(page, &range);
            self.make_room(disk, growth, Errno::InsufficientSpace).await?;
            // It may have left to make room, and gone to another end.
            if appends && self.content(node)?.size() != at {
                continue;
            }
            if self.content(node)?.is_missing_for(page, &range) {
                self.load_page(disk, node, page).await?;
            }
            self.with_content(node, |content, used| {
                content.write(page, start, now, used);
                content.note_write(appends);
            })?;
            (at, rest) = (at + now.len() as u64, later);
        }
        Ok(())
    }

    /// `set-size`.
    pub(crate) async fn set_size(&mut self, disk: &mut impl Disk, handle: Handle, size: u64) -> Result<()> {
        self.content(handle.node)?;
        if !handle.flags.write {
            return Err(Errno::BadDescriptor.into());
        }
        self.resize(disk, handle.node, size).await
    }

    pub(super) async fn resize(&mut self, disk: &mut impl Disk, node: u64, size: u64) -> Result<()> {
        let old = self.content(node)?.size();
        if size == old {
            return Ok(());
        }
        if size > old {
            self.check_size(disk, node, size, (0, false)).await?;
        }
        if size > 0 {
            self.begin_change(disk, node).await?;
        }
        self.note_change(node);
        self.changing = None;
        self.with_content(node, |content, _| content.set_size(size))
    }

    /// Checks the size that a file is to have, of which `new` bytes are written now, to its end or not.
    async fn check_size(
        &mut self,
        disk: &mut impl Disk,
        node: u64,
        size: u64,
        (new, appends): (u64, bool),
    ) -> Result<()> {
        let root = self.root(node).ok_or(Errno::NoEntry)?;
        let (max_file, in_memory) = (root.max_file, root.in_memory);
        if size > max_file {
            return Err(Errno::FileTooLarge.into());
        }
        let (held, old) = (self.content(node)?.held(), self.content(node)?.size());
        // It becomes one value when it is saved.
        if in_memory && size > old {
            self.make_room(disk, size.saturating_sub(held), Errno::InsufficientSpace).await?;
        }
        let Some(path) = self.nodes.get(&node).and_then(|node| node.path.clone()) else { return Ok(()) };
        let cost = self.content(node)?.cost_after(appends).saturating_add(new.max(size.saturating_sub(old)));
        self.check_quota(disk, &path, cost).await
    }

    /// Loads all of a file whose changes stay in memory, before the first of them: what is kept is whole.
    async fn begin_change(&mut self, disk: &mut impl Disk, node: u64) -> Result<()> {
        self.note_change(node);
        if self.root(node).is_some_and(|root| root.in_memory) && !self.content(node)?.is_dirty() {
            self.changing = Some(node);
            let size = self.content(node)?.size();
            self.load_all(disk, node, 0..size).await?;
        }
        Ok(())
    }

    fn note_change(&mut self, node: u64) {
        if let Some(NodeKind::File { is_given_up, .. }) = self.nodes.get_mut(&node).map(|node| &mut node.kind) {
            *is_given_up = false;
        }
    }

    /// Loads what is missing of a part of a file; a page that has left meanwhile is loaded again.
    async fn load(&mut self, disk: &mut impl Disk, node: u64, range: Range<u64>) -> Result<()> {
        while let Some(page) = self.content(node)?.missing(range.clone()) {
            self.load_page(disk, node, page).await?;
        }
        Ok(())
    }

    /// Loads a part of a file that has to be there as a whole.
    pub(super) async fn load_all(&mut self, disk: &mut impl Disk, node: u64, range: Range<u64>) -> Result<()> {
        let content = self.content(node)?;
        let (size, held) = (range.end - range.start, content.held());
        let pages = size / PAGE + 1;
        // So much that no page has to leave for another one.
        self.make_room(disk, size.saturating_sub(held) + pages * PAGE_ROOM, Errno::InsufficientMemory).await?;
        self.load(disk, node, range).await
    }

    async fn load_page(&mut self, disk: &mut impl Disk, node: u64, page: u64) -> Result<()> {
        let (offset, len) = self.content(node)?.extent(page);
        let Some(path) = self.nodes.get(&node).and_then(|node| node.path.clone()) else {
            return Err(Errno::Io.into());
        };
        self.make_room(disk, len + PAGE_ROOM, Errno::InsufficientMemory).await?;
        let bytes = match disk.kept(&path) {
            Some(kept) => part_of(&kept, offset, len),
            None => disk.read(&path, offset, len).await?,
        };
        self.with_content(node, |content: &mut Content, used| content.fill(page, bytes, used))
    }
}

fn part_of(kept: &[u8], offset: u64, len: u64) -> Vec<u8> {
    let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(kept.len());
    kept[at(offset)..at(offset.saturating_add(len))].to_vec()
}
