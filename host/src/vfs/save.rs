//! How writes leave: one step per file, when it is synced, when its last handle is dropped, and at the end of the execution.

use super::disk::{Disk, How};
use super::errno::{Errno, Fail, Result};
use super::tree::{Handle, NodeKind, Vfs};
use crate::guest_error::{ErrorCode, GuestError};
use crate::policy::quoted;

/// How often a file is appended to anew because others were faster.
const ATTEMPTS: usize = 100;

impl Vfs {
    /// `sync-data`: what the guest knows not to be saved is not tried again.
    pub(crate) async fn sync_data(&mut self, disk: &mut impl Disk, handle: Handle) -> Result<()> {
        match self.node(handle)?.kind {
            NodeKind::File { is_given_up: true, .. } => Ok(()),
            _ => self.save_or_give_up(disk, handle.node).await,
        }
    }

    /// `sync`: saves the file, also if that has failed before.
    pub(crate) async fn sync(&mut self, disk: &mut impl Disk, handle: Handle) -> Result<()> {
        self.node(handle)?;
        self.save_or_give_up(disk, handle.node).await
    }

    /// Drops a handle; with the last one of a file, its changes leave.
    ///
    /// # Errors
    /// They could not be saved; the error names the file, since the guest cannot be told.
    pub(crate) async fn close(&mut self, disk: &mut impl Disk, handle: Handle) -> Result<()> {
        let Some(node) = self.nodes.get_mut(&handle.node) else { return Ok(()) };
        node.handles = node.handles.saturating_sub(1);
        if node.handles > 0 {
            return Ok(());
        }
        let saved = self.save_last(disk, handle.node).await;
        self.drop_if_idle(handle.node);
        saved
    }

    /// Gives up a handle that the guest never had, on a file that has others.
    pub(crate) fn release(&mut self, handle: Handle) {
        self.nodes.get_mut(&handle.node).into_iter().for_each(|node| node.handles -= 1);
    }

    /// Saves all that is open; for the end of an execution.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub(crate) async fn finish(&mut self, disk: &mut impl Disk) -> Result<()> {
        let numbers: Vec<u64> = self.unsaved.iter().copied().collect();
        for number in numbers {
            self.save_last(disk, number).await?;
        }
        Ok(())
    }

    async fn save_last(&mut self, disk: &mut impl Disk, number: u64) -> Result<()> {
        let Some(node) = self.nodes.get(&number) else { return Ok(()) };
        if matches!(node.kind, NodeKind::File { is_given_up: true, .. }) {
            return Ok(());
        }
        let path = node.path.clone().unwrap_or_default();
        let saved = self.save_or_give_up(disk, number).await;
        saved.map_err(|fail| match fail {
            Fail::Errno(errno) => {
                let code = if errno == Errno::Quota { ErrorCode::LimitExceeded } else { ErrorCode::Failed };
                let message = format!("files write {} ({})", quoted(&path), errno.told());
                Fail::Refused(GuestError::new(code, message))
            }
            fail => fail,
        })
    }

    /// Saves a file. A failure is told once: what could not be saved is not tried again unless the guest changes the file.
    pub(super) async fn save_or_give_up(&mut self, disk: &mut impl Disk, number: u64) -> Result<()> {
        let saved = self.save(disk, number).await;
        if saved.is_err()
            && let Some(NodeKind::File { is_given_up, .. }) = self.nodes.get_mut(&number).map(|node| &mut node.kind)
        {
            *is_given_up = true;
        }
        saved
    }

    /// Saves a file that has changed and was not removed.
    pub(super) async fn save(&mut self, disk: &mut impl Disk, number: u64) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let Some(node) = self.nodes.get(&number) else { return Ok(()) };
            let (Some(path), NodeKind::File { content, .. }) = (node.path.clone(), &node.kind) else { return Ok(()) };
            if !content.is_dirty() {
                return Ok(());
            }
            let in_memory = self.root(number).is_some_and(|root| root.in_memory);
            let save = content.to_save(in_memory);
            let appends = matches!(save.how, How::Append(_));
            self.forget_lists();
            if let Some(status) = disk.save(&path, save).await? {
                self.note_time(status.modified);
                return self.with_content(number, |content, _| content.note_saved(status));
            }
            if !appends {
                return Err(Errno::Io.into());
            }
            // Somebody else has written to the file: what was appended goes after that.
            let look = disk.look(&path).await?;
            let status = look.status?;
            self.note_time(look.at);
            self.with_content(number, |content, used| content.append_to(status, used))?;
        }
        Err(Errno::Busy.into())
    }
}
