//! Names: folders and their entries, renaming and removing. Each change is a step of its own.

use super::disk::{Disk, Entry, Kind, Status};
use super::errno::{Errno, Result};
use super::open::Found;
use super::path::{self, Place};
use super::tree::{Handle, NodeKind, Vfs};

/// A list that the guest is reading.
#[derive(Debug)]
pub(super) struct List {
    folder: String,
    entries: std::vec::IntoIter<Entry>,
    /// The path of the entry that was read last. Standard libraries look at each entry before they read the next one.
    last: Option<String>,
    /// What the list tells of it, until somebody has looked at it or anything has changed.
    status: Option<Status>,
    cost: u64,
}

/// The assumed cost of an entry besides its name.
const ENTRY_COST: u64 = 64;

impl Vfs {
    /// `read-directory`: the entries in the byte order of their names. Returns the number of the list, which is closed once.
    pub(crate) async fn list(&mut self, disk: &mut impl Disk, handle: Handle) -> Result<u64> {
        let folder = self.folder_path(handle)?.to_owned();
        let mut entries = disk.list(&folder).await?;
        for number in &self.unsaved {
            let path = self.nodes.get(number).and_then(|node| node.path.as_deref());
            if let Some(path) = path.filter(|path| path::folder(path) == folder)
                && let Some((_, name)) = path.rsplit_once('/')
                && !entries.iter().any(|known| known.name == name)
            {
                entries.push(Entry { name: name.to_owned(), kind: Kind::File, status: None });
            }
        }
        entries.sort_unstable_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        let cost = entries.iter().map(|entry| entry.name.len() as u64 + ENTRY_COST).sum();
        self.make_room(disk, cost, Errno::InsufficientMemory).await?;
        self.held += cost;
        let number = self.lists.last_key_value().map_or(0, |(last, _)| last + 1);
        let entries = entries.into_iter();
        self.lists.insert(number, List { folder, entries, last: None, status: None, cost });
        Ok(number)
    }

    /// The next entry of a list.
    pub(crate) fn next_entry(&mut self, list: u64) -> Result<Option<(String, Kind)>> {
        let list = self.lists.get_mut(&list).ok_or(Errno::BadDescriptor)?;
        let next = list.entries.next();
        list.status = next.as_ref().and_then(|entry| entry.status);
        list.last = next.as_ref().map(|entry| path::lead(&list.folder) + &entry.name);
        Ok(next.map(|entry| (entry.name, entry.kind)))
    }

    /// Whether an entry was the last one that was read from a list.
    pub(super) fn is_just_read(&self, path: &str) -> bool {
        self.lists.values().any(|list| list.last.as_deref() == Some(path))
    }

    /// What a list has told of the entry that was read last. It is told once: who asks again wants to know what has become of it.
    pub(super) fn take_listed(&mut self, path: &str) -> Option<Status> {
        let mut lists = self.lists.values_mut();
        lists.find(|list| list.last.as_deref() == Some(path)).and_then(|list| list.status.take())
    }

    /// What lists have told is not known any more: something has changed.
    pub(super) fn forget_lists(&mut self) {
        for list in self.lists.values_mut() {
            (list.last, list.status) = (None, None);
        }
    }

    /// Drops a list.
    pub(crate) fn close_list(&mut self, list: u64) {
        self.held -= self.lists.remove(&list).map_or(0, |list| list.cost);
    }

    /// `create-directory-at`.
    pub(crate) async fn make_folder(&mut self, disk: &mut impl Disk, base: Handle, path: &str) -> Result<()> {
        let (place, root) = self.named(base, path, Errno::Exist)?;
        match self.find(disk, &place.path).await? {
            Found::Nothing { has_folder: true } => {}
            Found::Nothing { has_folder: false } => return Err(Errno::NoEntry.into()),
            _ => return Err(Errno::Exist.into()),
        }
        self.check_writable(disk, &place.path, root).await?;
        self.check_quota(disk, &place.path, 0).await?;
        self.forget_lists();
        disk.make_folder(&place.path).await
    }

    /// `unlink-file-at` and `remove-directory-at`, as `kind` says.
    pub(crate) async fn remove(&mut self, disk: &mut impl Disk, base: Handle, path: &str, kind: Kind) -> Result<()> {
        let refused = if kind == Kind::File { Errno::IsDirectory } else { Errno::Busy };
        let (place, root) = self.named(base, path, refused)?;
        if kind == Kind::File && place.is_folder || self.is_in_file(&place.path) {
            return Err(Errno::NotDirectory.into());
        }
        self.check_writable(disk, &place.path, root).await?;
        if kind == Kind::Folder && self.below(&place.path).iter().any(|node| self.unsaved.contains(node)) {
            return Err(Errno::NotEmpty.into());
        }
        if let Some(node) = self.open_node(&place.path) {
            match (&self.nodes.get(&node).map(|node| &node.kind), kind) {
                (Some(NodeKind::Folder), Kind::File) => return Err(Errno::IsDirectory.into()),
                (Some(NodeKind::File { .. }), Kind::Folder) => return Err(Errno::NotDirectory.into()),
                _ => {}
            }
            if self.keep_removed(disk, node).await? {
                self.forget_lists();
                self.forget(&place.path);
                return Ok(());
            }
        }
        self.forget_lists();
        disk.remove(&place.path, kind).await?;
        self.forget_all(&place.path);
        Ok(())
    }

    /// Makes an open file independent of the disk, because its name is about to go; returns whether the disk never had it.
    async fn keep_removed(&mut self, disk: &mut impl Disk, node: u64) -> Result<bool> {
        let Ok(content) = self.content(node) else { return Ok(false) };
        if content.on_disk().is_none() {
            return Ok(true);
        }
        let size = content.size();
        self.load_all(disk, node, 0..size).await?;
        Ok(false)
    }

    /// `rename-at`.
    pub(crate) async fn rename(
        &mut self,
        disk: &mut impl Disk,
        (base, path): (Handle, &str),
        (new_base, new_path): (Handle, &str),
    ) -> Result<()> {
        let (from, root) = self.named(base, path, Errno::Busy)?;
        let (to, new_root) = self.named(new_base, new_path, Errno::Busy)?;
        self.check_writable(disk, &from.path, root).await?;
        self.check_writable(disk, &to.path, new_root).await?;
        if root != new_root {
            return Err(Errno::CrossDevice.into());
        }
        if self.is_in_file(&from.path) {
            return Err(Errno::NotDirectory.into());
        }
        if self.is_in_file(&to.path) {
            let source = self.find(disk, &from.path).await?;
            let is_nowhere = matches!(source, Found::Nothing { has_folder: false });
            return Err(if is_nowhere { Errno::NoEntry } else { Errno::NotDirectory }.into());
        }
        // What was not saved yet has to be there to be renamed, or replaced.
        let mut unsaved = self.below(&from.path);
        unsaved.extend(self.below(&to.path));
        unsaved.extend([&from.path, &to.path].into_iter().filter_map(|path| self.names.get(path)));
        for node in unsaved {
            self.save_or_give_up(disk, node).await?;
        }
        let is_inside = to.path.starts_with(&path::lead(&from.path));
        if from.is_folder || to.is_folder || is_inside || from.path == to.path {
            let source = self.find(disk, &from.path).await?;
            match self.kind_of(&source) {
                None => return Err(Errno::NoEntry.into()),
                Some(Kind::File) if from.is_folder || to.is_folder || is_inside => {
                    return Err(Errno::NotDirectory.into());
                }
                Some(_) if is_inside => return Err(Errno::Invalid.into()),
                Some(_) if from.path == to.path => return Ok(()),
                Some(_) => {}
            }
        }
        if let Some(target) = self.open_node(&to.path) {
            self.keep_removed(disk, target).await?;
        }
        self.forget_lists();
        disk.rename(&from.path, &to.path).await?;
        self.forget_all(&to.path);
        self.move_names(&from.path, &to.path);
        // Its times on disk are others now, so only what is open stays known.
        let idle: Vec<u64> = self.below(&to.path).into_iter().chain(self.names.get(&to.path).copied()).collect();
        for number in idle {
            if self.nodes.get(&number).is_some_and(|node| node.handles == 0) {
                self.drop_node(number);
            }
        }
        Ok(())
    }

    /// Whether a path is below an open file, which the disk may not know of yet.
    pub(super) fn is_in_file(&self, path: &str) -> bool {
        self.open_node(path::folder(path)).is_some_and(|node| self.content(node).is_ok())
    }

    /// The place of an entry that can be changed, and its root. `refused` is for a root itself, and for a path that ends in dots.
    fn named(&self, base: Handle, path: &str, refused: Errno) -> Result<(Place, usize)> {
        let place = self.place(base, path)?;
        let root = self.root_of(&place.path).ok_or(Errno::NoEntry)?;
        if path::ends_in_dots(path) || self.roots.get(root).is_some_and(|root| root.guest == place.path) {
            return Err(refused.into());
        }
        Ok((place, root))
    }

    /// `symlink-at`, `link-at` and `readlink-at`: links are refused.
    pub(crate) fn link(&self, base: Handle) -> Result<()> {
        self.folder_path(base)?;
        Err(Errno::NotPermitted.into())
    }
}
