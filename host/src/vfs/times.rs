//! `set-times` and `set-times-at`.

use super::disk::{Disk, Times};
use super::errno::{Errno, Result};
use super::open::Found;
use super::tree::{Handle, Vfs};

impl Vfs {
    /// Sets the times of an open file or folder.
    pub(crate) async fn set_times(&mut self, disk: &mut impl Disk, handle: Handle, times: Times) -> Result<()> {
        let node = self.node(handle)?;
        // A file that was removed has no times that anybody could see.
        let Some(path) = node.path.clone() else { return Ok(()) };
        let root = node.root;
        self.set_times_of(disk, &path, root, times).await
    }

    /// Sets those of a path.
    pub(crate) async fn set_times_at(
        &mut self,
        disk: &mut impl Disk,
        base: Handle,
        path: &str,
        times: Times,
    ) -> Result<()> {
        let place = self.place(base, path)?;
        let root = self.root_of(&place.path).ok_or(Errno::NoEntry)?;
        if let Found::Nothing { .. } = self.find(disk, &place.path).await? {
            return Err(Errno::NoEntry.into());
        }
        self.set_times_of(disk, &place.path, root, times).await
    }

    async fn set_times_of(&mut self, disk: &mut impl Disk, path: &str, root: usize, times: Times) -> Result<()> {
        self.check_writable(disk, path, root).await?;
        if self.roots.get(root).is_some_and(|root| root.guest == path) {
            return Err(Errno::NotPermitted.into());
        }
        if times.accessed.is_none() && times.modified.is_none() {
            return Ok(());
        }
        let node = self.names.get(path).copied();
        // The content first: writing it would change the times again.
        if let Some(node) = node {
            self.save_or_give_up(disk, node).await?;
        }
        self.forget_lists();
        let status = disk.set_times(path, times).await?;
        if let Some(node) = node.filter(|node| self.content(*node).is_ok()) {
            self.with_content(node, |content, _| content.note_status(status))?;
        }
        Ok(())
    }
}
