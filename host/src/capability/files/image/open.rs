//! From a folder to an image: compared with what the journal pins, or pinned as it is now and kept in the store for the next host.

use super::super::adapter::{ImageGrant, check_lent, image_grants};
use super::super::effect::open_folder;
use super::known::Digests;
use super::manifest::{Entry, LEAD, Manifest, Pin};
use super::scan::{Scanned, in_guest, scan};
use super::{Given, Image, OPERATION, STEP, changed};
use crate::blocking::blocking;
use crate::bridge::capped;
use crate::engine::wall_clock;
use crate::grants::Grants;
use crate::id::Digest;
use crate::policy::quoted;
use everstep_store::Blob;
use everstep_store::journal::{Corrupted, History, Record};
use everstep_store::seam::Store;
use rustix::fs::fstat;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// The most bytes of the files of an image that a store keeps, and how many are handed to it at once.
const MOST_KEPT: u64 = 256 << 20;
const AT_ONCE: u64 = 16 << 20;

/// The reason that an execution cannot have an image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Store(#[from] everstep_store::Error),
    /// In words.
    #[error("{0}")]
    Image(String),
}

/// What a journal says of an image.
pub(crate) struct Recorded {
    /// The path of the image in the guest.
    guest: String,
    /// `None`: it was denied.
    pin: Option<Pin>,
}

/// What the beginning of a journal says of images.
pub(crate) fn recorded(history: &History) -> Result<Vec<Recorded>, Corrupted> {
    let mut images = Vec::new();
    for record in history.records_with_offsets() {
        match record?.1 {
            Record::Step { call, outcome } if call.kind == STEP => {
                let pin = outcome.ok().and_then(|pin| serde_json::from_slice(&pin).ok());
                images.push(Recorded { guest: call.subject.into_owned(), pin });
            }
            Record::Step { .. } | Record::Called { .. } => break,
            _ => {}
        }
    }
    Ok(images)
}

/// The images of an execution: those that its journal pins, as they were then, and the others as they are now, unless `only_pinned`. What a
/// later host needs of the latter is kept in the store before anything that is written later. No folder is looked at that the ceiling of
/// this host does not lend.
///
/// # Errors
/// A folder is not what it was, cannot be an image, or is not lent any more.
pub(crate) async fn open(
    grants: &Grants,
    recorded: &[Recorded],
    only_pinned: bool,
    digests: &Arc<Digests>,
    store: &Arc<dyn Store>,
) -> Result<Vec<Given>, Unusable> {
    let mut images = Vec::new();
    for grant in image_grants(grants) {
        let (index, guest) = (grant.grant, grant.guest.clone());
        let image = match recorded.iter().find(|recorded| is_recorded(&guest, recorded)) {
            None if only_pinned => continue,
            Some(Recorded { pin: None, .. }) => None,
            None if check_lent(grants, OPERATION, &guest).is_err() => None,
            None => {
                let (folder, found) = look(&grant, digests).await?;
                Some(new(grant, folder, found, digests, store).await?)
            }
            Some(Recorded { pin: Some(pin), .. }) => {
                check_lent(grants, OPERATION, &guest).map_err(|error| {
                    Unusable::Image(format!("the image {:?} is not lent here: {}", grant.rule, error.message))
                })?;
                let (folder, found) = look(&grant, digests).await?;
                let manifest = stored(pin, digests, store).await?;
                Some(as_pinned(grant, folder, found, (pin, manifest), store)?)
            }
        };
        images.push(Given { grant: index, guest, image: image.map(Arc::new) });
    }
    Ok(images)
}

/// Whether a record is about the image at a path. A record has no more than the beginning of a long path; a pin has all of it.
fn is_recorded(guest: &str, recorded: &Recorded) -> bool {
    match &recorded.pin {
        Some(pin) => pin.guest == guest,
        None => recorded.guest == capped(guest),
    }
}

/// The folder of an image and what it holds now, or why that cannot be said.
async fn look(
    grant: &ImageGrant,
    digests: &Arc<Digests>,
) -> Result<(Option<Arc<OwnedFd>>, Result<Manifest, String>), Unusable> {
    let (grant, digests) = (grant.clone(), Arc::clone(digests));
    let looking = blocking(move || {
        let folder = match open_folder(&grant.rule, &grant.host) {
            Ok(folder) => Arc::new(folder),
            Err(error) => return (None, Err(error.to_string())),
        };
        let found = found(&folder, &grant.guest, &digests);
        (Some(folder), found)
    });
    looking.await.map_err(|panicked| Unusable::Image(panicked.to_string()))
}

/// What a folder holds now. May block.
///
/// # Errors
/// What cannot be in an image, in words.
pub(super) fn found(folder: &OwnedFd, guest: &str, digests: &Digests) -> Result<Manifest, String> {
    let stat = fstat(folder).map_err(|errno| errno.to_string())?;
    let known = digests.below(&stat);
    let Scanned { manifest, known: now, read } = scan(folder.as_fd(), guest, &known, wall_clock())?;
    tracing::debug!(guest, files = manifest.files().count(), read, "an image was digested");
    digests.remember(&stat, &known, now);
    Ok(manifest)
}

/// An image that is pinned as it is now.
async fn new(
    grant: ImageGrant,
    folder: Option<Arc<OwnedFd>>,
    found: Result<Manifest, String>,
    digests: &Digests,
    store: &Arc<dyn Store>,
) -> Result<Image, Unusable> {
    let cannot = |why: String| Unusable::Image(format!("the image {:?} cannot be pinned: {why}", grant.rule));
    let manifest = found.map_err(cannot)?;
    let parts = manifest.parts();
    let pin = manifest.pin(&grant.guest, &parts);
    if grant.keep {
        let folder = folder.clone().ok_or_else(|| cannot("it has no folder".to_owned()))?;
        keep_files(&grant, folder, &manifest, store).await.map_err(|error| match error {
            Unusable::Image(why) => cannot(why),
            error => error,
        })?;
    }
    let blobs = pin.manifest.iter().copied().zip(parts.into_iter().map(Blob::from));
    store.keep(blobs.collect()).await?;
    let manifest = digests.share(&pin.manifest, manifest);
    Ok(image(grant, pin, manifest, folder, store))
}

/// An image as it was when it was pinned; its times are those of then.
fn as_pinned(
    grant: ImageGrant,
    folder: Option<Arc<OwnedFd>>,
    found: Result<Manifest, String>,
    (pin, manifest): (&Pin, Arc<Manifest>),
    store: &Arc<dyn Store>,
) -> Result<Image, Unusable> {
    let differs = match found {
        Ok(now) => manifest.difference(&now).map(|(path, how)| was_at(&pin.guest, path, how)),
        Err(why) => Some(why),
    };
    match differs {
        Some(how) if !grant.keep => Err(Unusable::Image(changed(&grant.rule, &how))),
        _ => Ok(image(grant, pin.clone(), manifest, folder, store)),
    }
}

fn was_at(guest: &str, path: &str, how: &str) -> String {
    format!("{} {how}", quoted(&in_guest(guest, path)))
}

fn image(
    grant: ImageGrant,
    pin: Pin,
    manifest: Arc<Manifest>,
    folder: Option<Arc<OwnedFd>>,
    store: &Arc<dyn Store>,
) -> Image {
    let ImageGrant { rule, max_file, keep, .. } = grant;
    Image { rule, max_file, pin, manifest, folder, kept: keep.then(|| Arc::clone(store)) }
}

/// The manifest of a pinned image, which the store keeps.
async fn stored(pin: &Pin, digests: &Digests, store: &Arc<dyn Store>) -> Result<Arc<Manifest>, Unusable> {
    if let Some(manifest) = digests.manifest(&pin.manifest) {
        return Ok(manifest);
    }
    let missing = || Unusable::Image(format!("the store does not hold what the image at {} was", quoted(&pin.guest)));
    let mut parts = Vec::new();
    for digest in &pin.manifest {
        parts.push(store.blob(digest).await?.ok_or_else(missing)?);
    }
    let manifest = Manifest::of_parts(&parts).filter(|manifest| manifest.tree == pin.tree).ok_or_else(missing)?;
    Ok(digests.share(&pin.manifest, manifest))
}

/// Keeps the files of an image in the store, unless it has them.
async fn keep_files(
    grant: &ImageGrant,
    folder: Arc<OwnedFd>,
    manifest: &Manifest,
    store: &Arc<dyn Store>,
) -> Result<(), Unusable> {
    let (mark, marked) = mark(&manifest.tree);
    if store.blob_later(&mark).await?.is_some() {
        return Ok(());
    }
    let bytes: u64 = manifest.files().map(|(_, entry)| entry.size).sum();
    if bytes > MOST_KEPT {
        let why =
            format!("its files have {bytes} bytes, and a store keeps at most {MOST_KEPT}; grant a smaller folder");
        return Err(Unusable::Image(why));
    }
    let mut batch: Vec<(String, Entry)> = Vec::new();
    let mut room = AT_ONCE;
    for (path, entry) in manifest.files() {
        if entry.size > room && !batch.is_empty() {
            keep_batch(grant, Arc::clone(&folder), std::mem::take(&mut batch), store).await?;
            room = AT_ONCE;
        }
        room = room.saturating_sub(entry.size);
        batch.push((path.to_owned(), entry.clone()));
    }
    keep_batch(grant, folder, batch, store).await?;
    store.keep(vec![(mark, marked.into())]).await?;
    Ok(())
}

async fn keep_batch(
    grant: &ImageGrant,
    folder: Arc<OwnedFd>,
    batch: Vec<(String, Entry)>,
    store: &Arc<dyn Store>,
) -> Result<(), Unusable> {
    let guest = grant.guest.clone();
    let reading = blocking(move || {
        let mut blobs: Vec<(Digest, Blob)> = Vec::new();
        for (path, Entry { chunks, .. }) in batch {
            for (number, digest) in (0..).zip(chunks) {
                let chunk = super::chunk_at(folder.as_fd(), &path, number, Some(digest));
                let chunk = chunk.ok_or_else(|| was_at(&guest, &path, "changes while it is read"))?;
                blobs.push((digest, chunk.into()));
            }
        }
        Ok(blobs)
    });
    let blobs: Result<_, String> = reading.await.map_err(|panicked| Unusable::Image(panicked.to_string()))?;
    Ok(store.keep(blobs.map_err(Unusable::Image)?).await?)
}

/// What a store keeps once it has all files of the image with that tree.
fn mark(tree: &Digest) -> (Digest, Vec<u8>) {
    let marked = [LEAD, b"kept ", tree.to_string().as_bytes()].concat();
    (Digest::of(&marked), marked)
}

/// What a store keeps of a pinned image, for another store.
///
/// # Errors
/// The store failed, or lacks something.
pub(crate) async fn kept_of(
    recorded: &Recorded,
    digests: &Digests,
    store: &Arc<dyn Store>,
) -> Result<Vec<(Digest, Blob)>, Unusable> {
    let Some(pin) = &recorded.pin else { return Ok(Vec::new()) };
    let mut wanted = pin.manifest.clone();
    let (mark, _) = mark(&pin.tree);
    if store.blob_later(&mark).await?.is_some() {
        wanted.extend(stored(pin, digests, store).await?.files().flat_map(|(_, entry)| entry.chunks.clone()));
        wanted.push(mark);
    }
    let mut blobs = Vec::with_capacity(wanted.len());
    for digest in wanted {
        let missing = || Unusable::Image(format!("the store does not hold all of the image at {}", quoted(&pin.guest)));
        blobs.push((digest, store.blob_later(&digest).await?.ok_or_else(missing)?));
    }
    Ok(blobs)
}
