//! The memory of the host that files take: within what the execution may have, and the guest's own memory comes first.

use super::disk::Disk;
use super::errno::{Errno, Result};
use super::tree::{Node, NodeKind, Vfs};

impl Vfs {
    /// Lets go of pages that are on disk, and of files that are not open, until no more than `room` bytes are taken; those that were not
    /// used for the longest time first. Returns whether that was enough.
    pub(crate) fn shrink(&mut self, room: u64) -> bool {
        if self.held <= room {
            return true;
        }
        let mut clean: Vec<(u64, u64, u64)> = Vec::new();
        for (number, node) in &self.nodes {
            if let NodeKind::File { content, .. } = &node.kind
                && !self.is_pinned(*number, node)
            {
                clean.extend(content.clean().map(|(used, page)| (used, *number, page)));
            }
        }
        clean.sort_unstable();
        // A little more, so that the next page does not search again.
        let enough = room - room / 8;
        for (_, number, page) in clean {
            if self.held <= enough {
                break;
            }
            // The file exists: its page was found.
            let _ = self.with_content(number, |content, _| content.evict(page));
            self.drop_if_idle(number);
        }
        self.held <= room
    }

    /// Makes room for `bytes` more; changed files leave early if nothing else helps.
    ///
    /// # Errors
    /// `full`, if nothing more can leave.
    pub(super) async fn make_room(&mut self, disk: &mut impl Disk, bytes: u64, full: Errno) -> Result<()> {
        loop {
            let room = disk.room().checked_sub(bytes).ok_or(full)?;
            if self.shrink(room) {
                return Ok(());
            }
            let unsaved =
                self.unsaved.iter().filter_map(|number| Some((self.can_leave(self.nodes.get(number)?)?, *number)));
            let Some((_, number)) = unsaved.max() else { return Err(full.into()) };
            self.save(disk, number).await?;
        }
    }

    /// The changed bytes of a file that can be saved before the guest asks for it.
    fn can_leave(&self, node: &Node) -> Option<u64> {
        let NodeKind::File { content, is_given_up: false } = &node.kind else { return None };
        let in_memory = self.roots.get(node.root).is_none_or(|root| root.in_memory);
        (node.path.is_some() && !in_memory && content.dirty() > 0).then(|| content.dirty())
    }

    /// Whether the pages of a file cannot be read again: it was removed, or its changes stay in memory and have to be whole.
    fn is_pinned(&self, number: u64, node: &Node) -> bool {
        let NodeKind::File { content, .. } = &node.kind else { return true };
        let in_memory = self.roots.get(node.root).is_none_or(|root| root.in_memory);
        node.path.is_none() || self.changing == Some(number) || in_memory && content.is_dirty()
    }

    /// Forgets a node that nobody uses and that remembers nothing.
    pub(super) fn drop_if_idle(&mut self, number: u64) {
        let Some(node) = self.nodes.get(&number) else { return };
        let remembers = match &node.kind {
            NodeKind::Folder => false,
            NodeKind::File { content, is_given_up } => {
                node.path.is_some() && content.has_pages() && !content.is_dirty() && !is_given_up
            }
        };
        if node.handles == 0 && !remembers {
            self.drop_node(number);
        }
    }
}
