//! Images: folders that are pinned by the digest of their tree when an execution starts, so that no read of them is a step.
//!
//! `manifest` is what an image holds, `scan` makes it from a folder and `known` spares reading files again; `open` compares a folder with what
//! a journal pins, and keeps in the store what the next host needs. An [`Image`] is read here: each chunk that a guest gets has the digest that
//! is pinned, or the run ends. `measure` says what the images of a policy would be.

mod known;
mod manifest;
mod measure;
mod open;
mod scan;
#[cfg(test)]
mod tests;

pub(crate) use known::Digests;
pub use measure::{Measured, measure};
pub(crate) use open::{Recorded, Unusable, kept_of, open, recorded};

use super::adapter::{Operation, Place};
use super::disk::errno;
use super::effect::{Entry, FileKind, refused};
use super::folder::{self, OnTheWay, Refusal};
use crate::blocking::blocking;
use crate::bridge::{Arg, Bridge, Fault, Json, Stop};
use crate::guest_error::{ErrorCode, GuestError};
use crate::id::Digest;
use crate::policy::quoted;
use crate::vfs::{self, Kind, Look, Status};
use everstep_store::seam::Store;
use manifest::{CHUNK, LEAD, Manifest, Pin};
use scan::{in_guest, read_chunk};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// The kind of the step that pins an image, and what a policy has to grant for it.
const STEP: &str = "files.image";
const OPERATION: Operation = Operation::List;

/// An image that an execution may use.
pub(crate) struct Image {
    /// The id of its rule.
    rule: String,
    /// The largest file that may be read, in bytes.
    max_file: u64,
    pin: Pin,
    manifest: Arc<Manifest>,
    /// `None`: this machine has no folder for it.
    folder: Option<Arc<OwnedFd>>,
    /// The store that keeps its files, if one does.
    kept: Option<Arc<dyn Store>>,
}

/// An image that the policy of an execution grants.
pub(crate) struct Given {
    /// The index of its grant.
    grant: usize,
    /// Its path in the guest.
    guest: String,
    /// `None`: it was denied before, or the ceiling of this host denies it, so that nobody has looked at its folder.
    image: Option<Arc<Image>>,
}

/// The images of a run: those that it was given, and what became of the step that pins each.
#[derive(Default)]
pub(crate) struct Images(Mutex<Held>);

#[derive(Default)]
struct Held {
    given: Vec<Given>,
    pinned: BTreeMap<usize, Result<Arc<Image>, GuestError>>,
}

/// An image, and a path below it.
pub(super) struct Found<'p> {
    image: Arc<Image>,
    path: &'p str,
}

impl Images {
    /// Gives a run its images.
    pub(crate) fn give(&self, images: Vec<Given>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).given = images;
    }

    /// Makes the steps that pin the images of a run: the first ones of its execution.
    ///
    /// # Errors
    /// The run ends.
    pub(crate) fn pin(bridge: &Arc<Bridge>) -> Result<(), Stop> {
        let images = bridge.of_run::<Self>();
        let given = std::mem::take(&mut images.0.lock().unwrap_or_else(PoisonError::into_inner).given);
        for Given { grant, guest, image } in given {
            let place = Place::new(bridge, OPERATION, &guest);
            let args = [Arg::deciding("path", guest.as_bytes())];
            let step = place.step(STEP, &args, 0);
            let denied = || {
                let message = format!("files {} {} (this host has not opened it)", OPERATION.name(), quoted(&guest));
                GuestError::new(ErrorCode::Denied, message)
            };
            let pin = |_| image.as_ref().map(|image| Json(image.pin.clone())).ok_or_else(denied);
            let pinned = match bridge.internal(&step, pin) {
                Ok(Json(_)) => image.clone().ok_or_else(denied),
                Err(Fault::Guest(error)) => Err(error),
                Err(Fault::Stop(stop)) => return Err(stop),
            };
            images.0.lock().unwrap_or_else(PoisonError::into_inner).pinned.insert(grant, pinned);
        }
        Ok(())
    }

    /// The image of a grant and a path below it; `None` if the grant is no image, or has no pinned one yet. A guest that is denied the image
    /// is denied every use of it.
    ///
    /// # Errors
    /// The denial.
    pub(super) fn find<'p>(&self, grant: usize, path: &'p str) -> Result<Option<Found<'p>>, GuestError> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).pinned.get(&grant).cloned().transpose()?;
        Ok(found.map(|image| Found { image, path }))
    }
}

impl Found<'_> {
    /// Denies links and special files. They are no part of what the digest of the image says, so that a use of them is a step.
    pub(super) fn floor(&self, operation: Operation) -> Result<(), GuestError> {
        match self.image.manifest.find(self.path) {
            Err(refusal @ (Refusal::Link | Refusal::Special)) => Err(self.refused(operation.name(), refusal, 0)),
            _ => Ok(()),
        }
    }

    /// Whether a use of it is denied on record.
    pub(super) fn is_refused(&self) -> bool {
        self.floor(Operation::Stat).is_err()
    }

    /// All of a file of at most `max` bytes.
    pub(super) async fn content(&self, max: u64) -> Result<Vec<u8>, Fault> {
        let max = max.min(self.image.max_file);
        let read = self.image.read(self.path, (0, u64::MAX), max).await?;
        Ok(read.map_err(|refusal| self.refused("read", refusal, max))?)
    }

    /// A text that says which file of at most `max` bytes it is, and what it holds.
    pub(super) fn identity(&self, max: u64) -> Option<Vec<u8>> {
        let entry = self.image.manifest.find(self.path).ok()?;
        let is_small = entry.kind == Kind::File && entry.size <= max.min(self.image.max_file);
        let path = in_guest(&self.image.pin.guest, self.path);
        // A text, a number and digests always serialise.
        is_small.then(|| serde_json::to_vec(&(path, entry.size, &entry.chunks)).unwrap_or_default())
    }

    /// At most `len` bytes of a file from `offset` on.
    pub(super) async fn part(&self, offset: u64, len: u64) -> Result<Result<Vec<u8>, Refusal>, Stop> {
        self.image.read(self.path, (offset, len), self.image.max_file).await
    }

    /// One entry; its name is the last component of the guest path.
    pub(super) fn entry(&self) -> Result<Entry, GuestError> {
        let path = in_guest(&self.image.pin.guest, self.path);
        let found = self.image.manifest.find(self.path).map_err(|refusal| self.refused("stat", refusal, 0))?;
        Ok(entry(path.rsplit('/').next().unwrap_or_default(), found))
    }

    /// The entries of a folder in the byte order of their names, if they fit into `max` bytes.
    pub(super) fn entries(&self, max: u64) -> Result<Vec<Entry>, GuestError> {
        let listed = self.list(max).map_err(|refusal| self.refused("list", refusal, max))?;
        Ok(listed.into_iter().map(|(name, found)| entry(name, found)).collect())
    }

    /// The same for WASI.
    pub(super) fn listed(&self, max: u64, timed: impl Fn(Status) -> Status) -> Result<Vec<vfs::Entry>, Refusal> {
        let entry = |(name, found): (&str, &manifest::Entry)| {
            let may_be_used = matches!(found.kind, Kind::File | Kind::Folder);
            let status = may_be_used.then(|| timed(found.status()));
            vfs::Entry { name: name.to_owned(), kind: found.kind, status }
        };
        Ok(self.list(max)?.into_iter().map(entry).collect())
    }

    fn list(&self, max: u64) -> Result<Vec<(&str, &manifest::Entry)>, Refusal> {
        let listed = self.image.manifest.list(self.path)?;
        let bytes: u64 = listed.iter().map(|(name, _)| Entry::cost(name.as_bytes())).sum();
        if bytes > max { Err(Refusal::TooLarge) } else { Ok(listed) }
    }

    /// What a look at it finds, at no recorded time.
    pub(super) fn look(&self, timed: impl FnOnce(Status) -> Status) -> Look {
        let manifest = &self.image.manifest;
        let above = self.path.rsplit_once('/').map_or("", |(above, _)| above);
        let has_folder = manifest.find(above).is_ok_and(|entry| entry.kind == Kind::Folder);
        let found = manifest.find(self.path).map(|entry| timed(entry.status()));
        Look { at: None, status: found.map_err(errno), has_folder }
    }

    #[cold]
    fn refused(&self, operation: &str, refusal: Refusal, max: u64) -> GuestError {
        refused(&self.image.pin.guest, operation, self.path, refusal, max)
    }
}

impl Image {
    /// Bytes of a file of at most `max` bytes, each as it is pinned.
    async fn read(&self, path: &str, (offset, len): (u64, u64), max: u64) -> Result<Result<Vec<u8>, Refusal>, Stop> {
        let entry = match self.manifest.find(path) {
            Ok(entry) if entry.kind == Kind::Folder => return Ok(Err(Refusal::Folder)),
            Ok(entry) if entry.size > max => return Ok(Err(Refusal::TooLarge)),
            Ok(entry) => entry,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let end = offset.saturating_add(len).min(entry.size);
        let mut bytes = Vec::with_capacity(usize::try_from(end.saturating_sub(offset)).unwrap_or(0));
        let mut at = offset;
        while at < end {
            let chunk = self.chunk(path, entry, at / CHUNK).await?;
            let (from, to) = (at % CHUNK, (end - at / CHUNK * CHUNK).min(CHUNK));
            // A chunk has at most a MiB.
            bytes
                .extend_from_slice(chunk.get(LEAD.len() + from as usize..LEAD.len() + to as usize).unwrap_or_default());
            at = (at / CHUNK + 1) * CHUNK;
        }
        Ok(Ok(bytes))
    }

    /// One chunk of a file after what each chunk follows: from the folder if that still has it, otherwise from the store.
    async fn chunk(&self, path: &str, entry: &manifest::Entry, number: u64) -> Result<Vec<u8>, Stop> {
        let expected = usize::try_from(number).ok().and_then(|number| entry.chunks.get(number)).copied();
        if let Some(folder) = self.folder.clone() {
            let path = path.to_owned();
            let read = blocking(move || chunk_at(folder.as_fd(), &path, number, expected)).await;
            if let Ok(Some(chunk)) = read {
                return Ok(chunk);
            }
        }
        if let (Some(store), Some(digest)) = (&self.kept, expected)
            && let Some(chunk) = store.blob(&digest).await?
        {
            return Ok(chunk.to_vec());
        }
        let path = quoted(&in_guest(&self.pin.guest, path));
        Err(Stop::Image(changed(&self.rule, &format!("{path} has changed"))))
    }
}

/// One chunk of a file below a folder, after what each chunk follows; `None` if it has another digest.
fn chunk_at(folder: BorrowedFd<'_>, path: &str, number: u64, expected: Option<Digest>) -> Option<Vec<u8>> {
    let (folder, name) = folder::open_parent(folder, path, OnTheWay::Exists).ok()?;
    let (file, _) = folder::open_file(folder.as_fd(), name).ok()?;
    let mut file = File::from(file);
    file.seek(SeekFrom::Start(number * CHUNK)).ok()?;
    let chunk = read_chunk(&mut file, CHUNK).ok()?;
    (Some(Digest::of(&chunk)) == expected).then_some(chunk)
}

/// What is said of an image that is not what it was; `how` names the first entry that differs.
fn changed(rule: &str, how: &str) -> String {
    format!(
        "the image {rule:?} is not what it was when the execution started: {how}; put it back as it was and resume the execution"
    )
}

fn entry(name: &str, found: &manifest::Entry) -> Entry {
    let kind = match found.kind {
        Kind::File => FileKind::File,
        Kind::Folder => FileKind::Directory,
        Kind::Link | Kind::Other => FileKind::Other,
    };
    Entry { name: name.to_owned(), kind, size: found.size }
}
