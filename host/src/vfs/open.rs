//! Opening files and folders, and what is known of them.

use super::disk::{Disk, Kind, Look, Status};
use super::errno::{Errno, Result};
use super::path::Place;
use super::tree::{Handle, NodeKind, Vfs};

/// What a handle allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// Whether entries of a folder may be changed.
    pub(crate) mutate: bool,
}

/// How a path is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) create: bool,
    pub(crate) directory: bool,
    pub(crate) exclusive: bool,
    pub(crate) truncate: bool,
}

/// What there is at a path.
pub(super) enum Found {
    /// A node that is open.
    Node(u64),
    Entry(Status),
    Nothing {
        has_folder: bool,
    },
}

impl Vfs {
    /// `open-at`.
    pub(crate) async fn open(
        &mut self,
        disk: &mut impl Disk,
        base: Handle,
        path: &str,
        how: Open,
        flags: Flags,
    ) -> Result<Handle> {
        let place = self.place(base, path)?;
        let root = self.root_of(&place.path).ok_or(Errno::NoEntry)?;
        // The guest's memory comes first; and a handle takes some.
        self.make_room(disk, 0, Errno::InsufficientMemory).await?;
        let found = self.find(disk, &place.path).await?;
        if how.create && how.exclusive && !matches!(found, Found::Nothing { .. }) {
            return Err(Errno::Exist.into());
        }
        match self.kind_of(&found) {
            Some(Kind::File) => self.open_file(disk, &place, root, &found, how, flags).await,
            Some(Kind::Folder) if flags.write || how.truncate || (how.create && !how.directory) => {
                Err(Errno::IsDirectory.into())
            }
            Some(Kind::Folder) => {
                let mutate = flags.mutate && base.flags.mutate;
                Ok(self.folder(&place.path, root, Flags { read: true, write: false, mutate }))
            }
            Some(Kind::Link | Kind::Other) => Err(Errno::Denied.into()),
            None => self.create(disk, &place, root, &found, how, flags).await,
        }
    }

    async fn open_file(
        &mut self,
        disk: &mut impl Disk,
        place: &Place,
        root: usize,
        found: &Found,
        how: Open,
        flags: Flags,
    ) -> Result<Handle> {
        if how.directory || place.is_folder {
            return Err(Errno::NotDirectory.into());
        }
        if flags.write || how.truncate {
            self.check_writable(disk, &place.path, root).await?;
        }
        let handle = match found {
            Found::Entry(status) => self.file(&place.path, root, Some(*status), flags),
            Found::Node(node) => self.hold(*node, flags),
            Found::Nothing { .. } => return Err(Errno::NoEntry.into()),
        };
        if how.truncate
            && let Err(fail) = self.resize(disk, handle.node, 0).await
        {
            self.close(disk, handle).await?;
            return Err(fail);
        }
        Ok(handle)
    }

    async fn create(
        &mut self,
        disk: &mut impl Disk,
        place: &Place,
        root: usize,
        found: &Found,
        how: Open,
        flags: Flags,
    ) -> Result<Handle> {
        if !how.create || !matches!(found, Found::Nothing { has_folder: true }) {
            return Err(Errno::NoEntry.into());
        }
        if how.directory {
            return Err(Errno::Invalid.into());
        }
        if place.is_folder {
            return Err(Errno::IsDirectory.into());
        }
        self.check_writable(disk, &place.path, root).await?;
        self.check_quota(disk, &place.path, 0).await?;
        self.make_room(disk, place.path.len() as u64 + 512, Errno::InsufficientSpace).await?;
        let in_memory = self.roots.get(root).is_some_and(|root| root.in_memory);
        let created = if how.exclusive && !in_memory { self.create_new(disk, &place.path).await? } else { None };
        Ok(self.file(&place.path, root, created, flags))
    }

    /// Creates a file at once, so that nobody else can.
    async fn create_new(&mut self, disk: &mut impl Disk, path: &str) -> Result<Option<Status>> {
        self.created += 1;
        self.forget_lists();
        let created = disk.create(path, self.created).await?;
        self.note_time(created.and_then(|status| status.modified));
        Ok(created)
    }

    /// What there is at a path: what is open or just listed is known, everything else is looked up, as a step.
    pub(super) async fn find(&mut self, disk: &mut impl Disk, path: &str) -> Result<Found> {
        if let Some(node) = self.open_node(path) {
            return Ok(Found::Node(node));
        }
        let look = match self.take_listed(path) {
            Some(status) => Look { at: None, status: Ok(status), has_folder: true },
            None => disk.look(path).await?,
        };
        self.note_time(look.at);
        match look.status {
            Ok(status) => {
                // What is remembered of a file holds as long as nobody else has written to it.
                let known = self.names.get(path).and_then(|node| self.content(*node).ok()?.on_disk());
                if !known.is_some_and(|known| known.is_same(&status)) {
                    self.forget(path);
                }
                Ok(Found::Entry(status))
            }
            Err(Errno::NoEntry) => {
                self.forget(path);
                // A file that was created and not saved yet is not a folder.
                if self.is_in_file(path) {
                    Err(Errno::NotDirectory.into())
                } else {
                    Ok(Found::Nothing { has_folder: look.has_folder })
                }
            }
            Err(errno) => Err(errno.into()),
        }
    }

    pub(super) fn kind_of(&self, found: &Found) -> Option<Kind> {
        match found {
            Found::Entry(status) => Some(status.kind),
            Found::Node(node) => match self.nodes.get(node)?.kind {
                NodeKind::Folder => Some(Kind::Folder),
                NodeKind::File { .. } => Some(Kind::File),
            },
            Found::Nothing { .. } => None,
        }
    }

    /// Has the policy deny a change under a root that is only read.
    pub(super) async fn check_writable(&mut self, disk: &mut impl Disk, path: &str, root: usize) -> Result<()> {
        if self.roots.get(root).is_some_and(|root| root.is_writable) {
            return Ok(());
        }
        disk.refuse(path, 0).await?;
        Err(Errno::NotPermitted.into())
    }

    /// Has the policy deny a file that its quotas leave no room for, at `cost` bytes beside all that is not saved yet.
    pub(super) async fn check_quota(&mut self, disk: &mut impl Disk, path: &str, cost: u64) -> Result<()> {
        let bytes = {
            let mut unsaved: Vec<(&str, u64)> = Vec::new();
            for node in self.unsaved.iter().filter_map(|number| self.nodes.get(number)) {
                if let (Some(known), NodeKind::File { content, is_given_up: false }) = (&node.path, &node.kind)
                    && known != path
                    && self.root_of(known) == self.root_of(path)
                {
                    unsaved.push((known, content.cost()));
                }
            }
            unsaved.push((path, cost));
            if !disk.is_over_quota(&unsaved) {
                return Ok(());
            }
            unsaved.iter().map(|(_, cost)| cost).sum()
        };
        disk.refuse(path, bytes).await?;
        Err(Errno::Quota.into())
    }

    /// Another handle on the same file, for a stream.
    pub(crate) fn duplicate(&mut self, handle: Handle) -> Result<Handle> {
        self.content(handle.node)?;
        Ok(self.hold(handle.node, handle.flags))
    }

    /// Whether two handles are on the same file or folder.
    pub(crate) fn is_same(&self, one: Handle, other: Handle) -> bool {
        one.node == other.node
    }

    /// The kind of what is open.
    pub(crate) fn kind(&self, handle: Handle) -> Result<Kind> {
        Ok(match self.node(handle)?.kind {
            NodeKind::Folder => Kind::Folder,
            NodeKind::File { .. } => Kind::File,
        })
    }

    /// `stat`.
    pub(crate) async fn stat(&mut self, disk: &mut impl Disk, handle: Handle) -> Result<Status> {
        match &self.node(handle)?.kind {
            NodeKind::File { .. } => self.file_status(disk, handle.node),
            NodeKind::Folder => {
                let path = self.folder_path(handle)?.to_owned();
                let look = disk.look(&path).await?;
                self.note_time(look.at);
                Ok(look.status?)
            }
        }
    }

    /// `stat-at`.
    pub(crate) async fn stat_at(&mut self, disk: &mut impl Disk, base: Handle, path: &str) -> Result<Status> {
        let place = self.place(base, path)?;
        let status = match self.find(disk, &place.path).await? {
            Found::Entry(status) => status,
            Found::Node(node) => {
                let flags = Flags::default();
                self.stat(disk, Handle { node, flags }).await?
            }
            Found::Nothing { .. } => return Err(Errno::NoEntry.into()),
        };
        if place.is_folder && status.kind == Kind::File {
            return Err(Errno::NotDirectory.into());
        }
        Ok(status)
    }

    /// What is known of an open file. Since its last step, its content is as old as the latest recorded time.
    fn file_status(&mut self, disk: &mut impl Disk, node: u64) -> Result<Status> {
        let now = self.time(disk);
        let content = self.content(node)?;
        let size = content.size();
        let fresh = Status { kind: Kind::File, size, accessed: now, modified: now, changed: now };
        Ok(match content.on_disk() {
            None => fresh,
            Some(status) if content.is_dirty() => Status { accessed: status.accessed, ..fresh },
            Some(status) => Status { size, ..*status },
        })
    }

    /// A value that tells files and folders apart: where they are.
    pub(crate) fn identity(&self, handle: Handle) -> Result<String> {
        let node = self.node(handle)?;
        Ok(node.path.clone().unwrap_or_else(|| format!("removed {}", handle.node)))
    }

    /// The same for a path, which must exist.
    pub(crate) async fn identity_at(&mut self, disk: &mut impl Disk, base: Handle, path: &str) -> Result<String> {
        let place = self.place(base, path)?;
        if place.is_folder || !self.is_just_read(&place.path) {
            self.stat_at(disk, base, path).await?;
        }
        Ok(place.path)
    }
}
