//! What an image holds: every file and folder of a tree, with its size, its time and the digests of its content.

use super::super::folder::Refusal;
use crate::id::Digest;
use crate::vfs::{Kind, PAGE, Status};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The bytes of a file that have one digest: as many as a program's file system reads at once.
pub(super) const CHUNK: u64 = PAGE;

/// The bytes before a chunk where its digest is made and where it is kept, so that a store takes no chunk for anything else that it keeps.
pub(super) const LEAD: &[u8] = b"everstep image\n";

/// The most bytes of a part of a manifest, unless it has a single entry.
const PART: usize = 1 << 20;

/// An entry of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Bytes; 0 for anything but a file.
    pub(super) size: u64,
    /// When a file or folder was last changed, in nanoseconds since the Unix epoch. No part of what identifies an image.
    pub(super) modified: Option<u64>,
    /// The digests of the chunks of a file, in their order.
    pub(super) chunks: Vec<Digest>,
}

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    /// By the path below the root, whose own path is empty.
    entries: BTreeMap<String, Entry>,
    /// Over the path, kind, size and content of each entry.
    pub(super) tree: Digest,
}

/// An image as a journal pins it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pin {
    /// The path of the image in the guest.
    pub(super) guest: String,
    /// The digest of its tree.
    pub(super) tree: Digest,
    /// How many files it has.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// The parts of its manifest, which the store keeps.
    pub(super) manifest: Vec<Digest>,
}

impl Manifest {
    pub(super) fn new(entries: BTreeMap<String, Entry>) -> Self {
        let mut text = Vec::new();
        for (path, Entry { kind, size, chunks, .. }) in &entries {
            line(&mut text, &(path, kind, size, chunks));
        }
        Self { tree: Digest::of(&text), entries }
    }

    /// The manifest in parts: a JSON array for each entry, one a line.
    pub(super) fn parts(&self) -> Vec<Vec<u8>> {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for entry in &self.entries {
            let mut text = Vec::new();
            line(&mut text, &entry);
            match parts.last_mut() {
                Some(part) if part.len() + text.len() <= PART => part.extend(text),
                _ => parts.push(text),
            }
        }
        parts
    }

    /// The manifest in these parts; `None` if they are none.
    pub(super) fn of_parts(parts: &[impl AsRef<[u8]>]) -> Option<Self> {
        let mut entries = BTreeMap::new();
        for part in parts {
            let lines = part.as_ref().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            for line in lines {
                let (path, entry): (String, Entry) = serde_json::from_slice(line).ok()?;
                entries.insert(path, entry);
            }
        }
        Some(Self::new(entries))
    }

    pub(super) fn pin(&self, guest: &str, parts: &[Vec<u8>]) -> Pin {
        let files = self.files().count() as u64;
        let bytes = self.files().map(|(_, entry)| entry.size).sum();
        let manifest = parts.iter().map(|part| Digest::of(part)).collect();
        Pin { guest: guest.to_owned(), tree: self.tree, files, bytes, manifest }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().filter(|(_, entry)| entry.kind == Kind::File).map(|(path, entry)| (path.as_str(), entry))
    }

    /// The entry at a path.
    pub(super) fn find(&self, path: &str) -> Result<&Entry, Refusal> {
        if let Some(entry) = self.entries.get(path) {
            return match entry.kind {
                Kind::File | Kind::Folder => Ok(entry),
                Kind::Link => Err(Refusal::Link),
                Kind::Other => Err(Refusal::Special),
            };
        }
        let above = path.match_indices('/').filter_map(|(end, _)| self.entries.get(&path[..end]));
        Err(match above.map(|entry| entry.kind).find(|kind| *kind != Kind::Folder) {
            Some(Kind::File) => Refusal::NoFolder,
            Some(Kind::Link) => Refusal::Link,
            Some(Kind::Other) => Refusal::Special,
            Some(Kind::Folder) | None => Refusal::Missing,
        })
    }

    /// The entries of a folder, in the byte order of their names.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<(&str, &Entry)>, Refusal> {
        if self.find(folder)?.kind != Kind::Folder {
            return Err(Refusal::NoFolder);
        }
        let lead = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        // The root itself is no entry of it.
        let mut from = if lead.is_empty() { "\u{1}".to_owned() } else { lead.clone() };
        let mut found = Vec::new();
        while let Some((path, entry)) = self.entries.range(from..).next() {
            let Some(rest) = path.strip_prefix(&lead) else { break };
            from = match rest.split_once('/') {
                // Past all that is below that folder: '0' comes after '/'.
                Some((below, _)) => format!("{lead}{below}0"),
                None => {
                    found.push((rest, entry));
                    format!("{path}\0")
                }
            };
        }
        Ok(found)
    }

    /// The first entry in which another tree differs, and how.
    pub(super) fn difference<'m>(&'m self, now: &'m Self) -> Option<(&'m str, &'static str)> {
        let paths = self.entries.keys().chain(now.entries.keys());
        let differ = |path: &&String| match (self.entries.get(*path), now.entries.get(*path)) {
            (Some(was), Some(is)) => (was.kind, was.size, &was.chunks) != (is.kind, is.size, &is.chunks),
            _ => true,
        };
        let path = paths.filter(differ).min()?;
        let how = match (self.entries.contains_key(path), now.entries.contains_key(path)) {
            (true, true) => "has changed",
            (true, false) => "is missing",
            (false, _) => "was added",
        };
        Some((path, how))
    }
}

impl Entry {
    pub(super) fn status(&self) -> Status {
        let Self { kind, size, modified, .. } = *self;
        Status { kind, size, accessed: modified, modified, changed: modified }
    }
}

fn line(text: &mut Vec<u8>, entry: &impl Serialize) {
    // Names, numbers and digests always serialise.
    text.extend(serde_json::to_vec(entry).unwrap_or_default());
    text.push(b'\n');
}
