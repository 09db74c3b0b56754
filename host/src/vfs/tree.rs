//! The state: files and folders that are open or remembered, by path, and the handles on them.

use super::content::Content;
use super::disk::{Disk, Root, Status};
use super::errno::{Errno, Result};
use super::open::Flags;
use super::path::{self, Place};
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Vfs {
    pub(super) roots: Vec<Root>,
    pub(super) nodes: BTreeMap<u64, Node>,
    /// The node of each path that has one.
    pub(super) names: BTreeMap<String, u64>,
    /// The lists that the guest is reading.
    pub(super) lists: BTreeMap<u64, super::names::List>,
    /// The files that have changed since they were saved.
    pub(super) unsaved: BTreeSet<u64>,
    /// A file whose first change is being made, which needs all of its pages.
    pub(super) changing: Option<u64>,
    next: u64,
    /// How often a file was created that had to be new.
    pub(super) created: u64,
    /// Counts uses, so that the pages that were not used for the longest time leave first.
    uses: u64,
    /// Bytes in the host's memory.
    pub(super) held: u64,
    /// The latest recorded time.
    pub(super) now: Option<u64>,
}

/// A file or folder.
#[derive(Debug)]
pub(super) struct Node {
    /// `None`: it was removed.
    pub(super) path: Option<String>,
    /// The index of its root.
    pub(super) root: usize,
    pub(super) handles: u64,
    pub(super) kind: NodeKind,
}

#[derive(Debug)]
pub(super) enum NodeKind {
    Folder,
    File {
        content: Content,
        /// Whether saving it has failed, and the guest knows.
        is_given_up: bool,
    },
}

/// An open file or folder. Every one is closed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(super) node: u64,
    pub(crate) flags: Flags,
}

/// The assumed cost of a node besides its path and pages.
const NODE_COST: u64 = 256;

impl Node {
    pub(super) fn cost(&self) -> u64 {
        let pages = if let NodeKind::File { content, .. } = &self.kind { content.held() } else { 0 };
        NODE_COST + self.path.as_ref().map_or(0, |path| path.len() as u64) + pages
    }
}

impl Vfs {
    /// The files below the folders of a policy, with nothing open.
    pub(crate) fn new(roots: Vec<Root>) -> Self {
        Self { roots, ..Self::default() }
    }

    /// A handle on each folder that the policy grants, with its path.
    pub(crate) fn preopens(&mut self) -> Vec<(Handle, String)> {
        let roots: Vec<(usize, Root)> = self.roots.iter().cloned().enumerate().collect();
        let handle = |(index, root): (usize, Root)| {
            let flags = Flags { read: true, write: false, mutate: root.is_writable };
            (self.folder(&root.guest, index, flags), root.guest)
        };
        roots.into_iter().map(handle).collect()
    }

    /// The root that covers a path.
    pub(super) fn root_of(&self, path: &str) -> Option<usize> {
        self.roots.iter().position(|root| crate::policy::path::below(&root.guest, path).is_some())
    }

    pub(super) fn node(&self, handle: Handle) -> Result<&Node> {
        Ok(self.nodes.get(&handle.node).ok_or(Errno::BadDescriptor)?)
    }

    /// The content of an open file.
    pub(super) fn content(&self, node: u64) -> Result<&Content> {
        match self.nodes.get(&node).map(|node| &node.kind) {
            Some(NodeKind::File { content, .. }) => Ok(content),
            Some(NodeKind::Folder) => Err(Errno::IsDirectory.into()),
            None => Err(Errno::BadDescriptor.into()),
        }
    }

    /// Changes the content of a file, and keeps count of its memory. `used` numbers the use.
    pub(super) fn with_content<T>(&mut self, number: u64, change: impl FnOnce(&mut Content, u64) -> T) -> Result<T> {
        self.uses += 1;
        let (uses, node) = (self.uses, self.nodes.get_mut(&number));
        let Some(Node { kind: NodeKind::File { content, .. }, path, .. }) = node else {
            return Err(Errno::BadDescriptor.into());
        };
        let before = content.held();
        let done = change(content, uses);
        self.held = self.held + content.held() - before;
        if content.is_dirty() && path.is_some() {
            self.unsaved.insert(number);
        } else {
            self.unsaved.remove(&number);
        }
        Ok(done)
    }

    pub(super) fn root(&self, node: u64) -> Option<&Root> {
        self.roots.get(self.nodes.get(&node)?.root)
    }

    /// The path of a folder that a handle is on.
    pub(super) fn folder_path(&self, handle: Handle) -> Result<&str> {
        let node = self.node(handle)?;
        match node.kind {
            NodeKind::Folder => Ok(node.path.as_deref().ok_or(Errno::NoEntry)?),
            NodeKind::File { .. } => Err(Errno::NotDirectory.into()),
        }
    }

    /// The place of a path relative to an open folder.
    pub(super) fn place(&self, base: Handle, path: &str) -> Result<Place> {
        Ok(path::below(self.folder_path(base)?, path)?)
    }

    /// The node of a path, if it is open.
    pub(super) fn open_node(&self, path: &str) -> Option<u64> {
        let node = self.names.get(path).copied()?;
        self.nodes.get(&node).is_some_and(|node| node.handles > 0).then_some(node)
    }

    /// A handle on a folder.
    pub(super) fn folder(&mut self, path: &str, root: usize, flags: Flags) -> Handle {
        let known = self.names.get(path).copied();
        let is_folder = |node: &u64| matches!(self.nodes.get(node), Some(Node { kind: NodeKind::Folder, .. }));
        let node = known.filter(is_folder).unwrap_or_else(|| self.insert(path, root, NodeKind::Folder));
        self.hold(node, flags)
    }

    /// A handle on a file.
    pub(super) fn file(&mut self, path: &str, root: usize, status: Option<Status>, flags: Flags) -> Handle {
        let known = self.names.get(path).copied();
        let node = known.filter(|node| self.content(*node).is_ok()).unwrap_or_else(|| {
            let content = status.map_or_else(Content::fresh, Content::of);
            self.insert(path, root, NodeKind::File { content, is_given_up: false })
        });
        self.hold(node, flags)
    }

    fn insert(&mut self, path: &str, root: usize, kind: NodeKind) -> u64 {
        self.forget(path);
        self.next += 1;
        if matches!(&kind, NodeKind::File { content, .. } if content.is_dirty()) {
            self.unsaved.insert(self.next);
        }
        let node = Node { path: Some(path.to_owned()), root, handles: 0, kind };
        self.held += node.cost();
        self.nodes.insert(self.next, node);
        self.names.insert(path.to_owned(), self.next);
        self.next
    }

    /// One more handle on the same file or folder.
    pub(super) fn hold(&mut self, node: u64, flags: Flags) -> Handle {
        self.nodes.get_mut(&node).into_iter().for_each(|node| node.handles += 1);
        Handle { node, flags }
    }

    /// Separates a path from its node: what is there now is another file. The node stays for as long as it has handles.
    pub(super) fn forget(&mut self, path: &str) {
        let Some(number) = self.names.remove(path) else { return };
        self.unsaved.remove(&number);
        let Some(node) = self.nodes.get_mut(&number) else { return };
        if node.handles == 0 {
            self.drop_node(number);
        } else {
            self.held -= node.path.take().map_or(0, |path| path.len() as u64);
        }
    }

    /// The same for a path and all below it.
    pub(super) fn forget_all(&mut self, path: &str) {
        let lead = path::lead(path);
        let below = self.names.range(lead.clone()..).take_while(|(name, _)| name.starts_with(&lead));
        let names: Vec<String> = below.map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.forget(name));
        self.forget(path);
    }

    pub(super) fn drop_node(&mut self, number: u64) {
        self.unsaved.remove(&number);
        let Some(node) = self.nodes.remove(&number) else { return };
        self.held -= node.cost();
        if let Some(path) = &node.path {
            self.names.remove(path);
        }
    }

    /// Gives the nodes at and below a path another one.
    pub(super) fn move_names(&mut self, from: &str, to: &str) {
        let below = path::lead(from);
        let at = self.names.range(from.to_owned()..).take_while(|(path, _)| path.starts_with(from));
        let moved: Vec<(String, u64)> = at
            .filter(|(path, _)| *path == from || path.starts_with(&below))
            .map(|(path, node)| (path.clone(), *node))
            .collect();
        for (old, number) in moved {
            self.names.remove(&old);
            let new = format!("{to}{}", &old[from.len()..]);
            if let Some(node) = self.nodes.get_mut(&number) {
                self.held = self.held + new.len() as u64 - old.len() as u64;
                node.path = Some(new.clone());
            }
            self.names.insert(new, number);
        }
    }

    /// The nodes below a folder.
    pub(super) fn below(&self, folder: &str) -> Vec<u64> {
        let lead = path::lead(folder);
        let below = self.names.range(lead.clone()..).take_while(|(path, _)| path.starts_with(&lead));
        below.map(|(_, node)| *node).collect()
    }

    /// Takes note of a recorded time.
    pub(super) fn note_time(&mut self, at: Option<u64>) {
        self.now = self.now.max(at);
    }

    /// The latest time that is recorded, which the guest may see.
    pub(crate) fn time(&mut self, disk: &mut impl Disk) -> Option<u64> {
        self.note_time(disk.told_ns());
        self.now
    }

    /// Bytes in the host's memory.
    #[cfg(test)]
    pub(crate) fn held(&self) -> u64 {
        self.held
    }
}
