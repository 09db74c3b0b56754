//! `everstep:host/files` over [`super::Folders`].

use super::above;
use super::effect::{Entry, FileKind};
use super::image::{Found, Images};
use super::kept;
use super::merged::Merged;
use super::overlay::{Overlay, Overlays, Seen};
use super::refusals::Refusals;
use crate::bindings::everstep::host::{files, types};
use crate::blocking::blocking;
use crate::bridge::{Arg, Bridge, Fault, Floor, Json, Step};
use crate::grants::Grants;
use crate::guest_error::{ErrorCode, GuestError};
pub(super) use crate::policy::FileOperation as Operation;
use crate::policy::{Access, Call, FilesCall, Policy};
use crate::turns::{Ctx, prepared};
use crate::vfs::Root;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

impl files::Host for Ctx {
    async fn read(&mut self, path: String) -> Result<Vec<u8>, Fault> {
        let bridge = Arc::clone(&self.bridge);
        let place = Place::new(&bridge, Operation::Read, &path);
        if let Some(image) = place.image()? {
            return image.content(bridge.facts.limits().bytes_per_call).await;
        }
        let args = [Arg::deciding("path", path.as_bytes())];
        let step = place.step("files.read", &args, 0);
        let effect = |grants: &Grants, folder: Merged<'_>, path: &str| folder.read(path, room(grants, folder.grant));
        bridge.read(&step, || place.on_disk(effect)).await
    }

    async fn write(&mut self, path: String, content: Vec<u8>) -> Result<(), Fault> {
        let bridge = Arc::clone(&self.bridge);
        let content = Arc::new(content);
        let place = Place::new(&bridge, Operation::Write, &path);
        let args = [Arg::deciding("path", path.as_bytes()), Arg::of("content", &content)];
        let step = place.step("files.write", &args, content.len() as u64);
        let kept = Arc::clone(&content);
        if place.is_in_memory() {
            let effect = move |_: &Grants, mut folder: Merged<'_>, path: &str| folder.write(path, kept);
            let again = |(): &()| place.again(|overlay, path| overlay.write(path, Arc::clone(&content)));
            return bridge.change(&step, || place.on_disk(effect), again).await;
        }
        let effect = move |_: &Grants, folder: Merged<'_>, path: &str| folder.folders.write(folder.grant, path, &kept);
        bridge.external(&step, |_| place.on_disk(effect)).await
    }

    async fn replace(&mut self, path: String, before: Option<Vec<u8>>, content: Vec<u8>) -> Result<bool, Fault> {
        let bridge = Arc::clone(&self.bridge);
        let content = Arc::new(content);
        // A missing file is different from an empty one.
        let presence: &[u8] = if before.is_some() { b"file" } else { b"" };
        let place = Place::new(&bridge, Operation::Write, &path);
        let args = [
            Arg::deciding("path", path.as_bytes()),
            Arg::of("before", before.as_deref().unwrap_or_default()),
            Arg::of("content", &content),
            Arg::of("presence", presence),
        ];
        let step = place.step("files.replace", &args, content.len() as u64);
        let (kept, expected) = (Arc::clone(&content), before.clone());
        if place.is_in_memory() {
            let effect = move |_: &Grants, mut folder: Merged<'_>, path: &str| {
                folder.replace(path, expected.as_deref(), kept).map(Json)
            };
            let again = |Json(replaced): &Json<bool>| {
                if *replaced {
                    place.again(|overlay, path| overlay.write(path, Arc::clone(&content)));
                }
            };
            let Json(replaced) = bridge.change(&step, || place.on_disk(effect), again).await?;
            return Ok(replaced);
        }
        let effect = |repeated| {
            let replace = move |_: &Grants, folder: Merged<'_>, path: &str| {
                folder.folders.replace(folder.grant, path, expected.as_deref(), &kept, repeated).map(Json)
            };
            place.on_disk(replace)
        };
        let Json(replaced) = bridge.external(&step, effect).await?;
        Ok(replaced)
    }

    async fn list(&mut self, path: String) -> Result<Vec<files::Entry>, Fault> {
        let bridge = Arc::clone(&self.bridge);
        let place = Place::new(&bridge, Operation::List, &path);
        if let Some(image) = place.image()? {
            let entries = image.entries(bridge.facts.limits().bytes_per_call)?;
            return Ok(entries.into_iter().map(Into::into).collect());
        }
        let args = [Arg::deciding("path", path.as_bytes())];
        let step = place.step("files.list", &args, 0);
        let effect = |grants: &Grants, folder: Merged<'_>, path: &str| {
            folder.list(path, grants.policy.limits.bytes_per_call).map(Json)
        };
        let Json(entries) = bridge.read(&step, || place.on_disk(effect)).await?;
        Ok(entries.into_iter().map(Into::into).collect())
    }

    async fn stat(&mut self, path: String) -> Result<files::Entry, Fault> {
        let bridge = Arc::clone(&self.bridge);
        let place = Place::new(&bridge, Operation::Stat, &path);
        if let Some(image) = place.image()? {
            return Ok(image.entry()?.into());
        }
        let args = [Arg::deciding("path", path.as_bytes())];
        let step = place.step("files.stat", &args, 0);
        let effect = |_: &Grants, folder: Merged<'_>, path: &str| folder.stat(path).map(Json);
        let Json(entry) = bridge.read(&step, || place.on_disk(effect)).await?;
        Ok(entry.into())
    }

    async fn remove(&mut self, path: String) -> Result<(), Fault> {
        let bridge = Arc::clone(&self.bridge);
        let place = Place::new(&bridge, Operation::Remove, &path);
        let args = [Arg::deciding("path", path.as_bytes())];
        let step = place.step("files.remove", &args, 0);
        if place.is_in_memory() {
            let effect = |grants: &Grants, mut folder: Merged<'_>, path: &str| {
                let (_, max) = bounds(grants, folder.grant);
                folder.remove(path, max)
            };
            let is_scratch = place.is_scratch();
            let again = |(): &()| place.again(|overlay, path| kept::removed(overlay, path, is_scratch));
            return bridge.change(&step, || place.on_disk(effect), again).await;
        }
        let effect = |repeated| {
            let remove =
                move |_: &Grants, folder: Merged<'_>, path: &str| folder.folders.remove(folder.grant, path, repeated);
            place.on_disk(remove)
        };
        bridge.external(&step, effect).await
    }

    async fn refusal(&mut self, path: Option<String>) -> wasmtime::Result<Option<types::Error>> {
        Ok(self.bridge.of_run::<Refusals>().latest(path.as_deref()).map(Into::into))
    }

    async fn prepared(&mut self, path: String) -> Result<Option<Vec<u8>>, Fault> {
        let bridge = Arc::clone(&self.bridge);
        let Some(image) = Place::new(&bridge, Operation::Read, &path).image()? else { return Ok(None) };
        let (Some(component), Some(file)) = (self.component.clone(), image.identity(MOST_PREPARED)) else {
            return Ok(None);
        };
        let made = prepared(&component, &bridge, &path, &file, image.content(MOST_PREPARED)).await?;
        Ok(made.map(|made| made.to_vec()))
    }
}

/// The largest file of which something is made, in bytes.
const MOST_PREPARED: u64 = 1 << 20;

/// An operation and its place.
pub(super) struct Place<'a> {
    pub(super) bridge: &'a Arc<Bridge>,
    pub(super) operation: Operation,
    path: &'a str,
    /// Where it is moved from, below the same folder.
    from: Option<&'a str>,
    /// The index of the grant that covers the path, and the path below its folder.
    found: Option<(usize, &'a str)>,
}

/// The guest's changes in memory under overlay grants.
#[derive(Default)]
pub(super) struct Changes(Mutex<Overlays>);

impl Changes {
    pub(super) fn lock(&self) -> MutexGuard<'_, Overlays> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Place<'a> {
    pub(super) fn new(bridge: &'a Arc<Bridge>, operation: Operation, path: &'a str) -> Self {
        Self { bridge, operation, path, from: None, found: bridge.facts.grants.policy.resolve(path) }
    }

    pub(super) fn moved_from(self, from: &'a str) -> Self {
        Self { from: Some(from), ..self }
    }

    pub(super) fn step<'s>(&'s self, kind: &'static str, args: &'s [Arg<'s>], bytes: u64) -> Step<'s> {
        let Self { operation, path, .. } = *self;
        let grant = Call::Files(FilesCall { operation, path, bytes });
        Step { floor: Some(self), ..Step::new(kind, path, args, grant) }
    }

    /// The paths that the operation is about.
    pub(super) fn paths(&self) -> Vec<String> {
        [Some(self.path), self.from].into_iter().flatten().map(str::to_owned).collect()
    }

    /// The access that the rule grants.
    fn access(&self) -> Option<Access> {
        let files = &self.bridge.facts.grants.policy.files;
        self.found.and_then(|(grant, _)| files.get(grant)).map(|grant| grant.access)
    }

    /// Whether there is no folder of the host under it.
    pub(super) fn is_scratch(&self) -> bool {
        self.access() == Some(Access::Scratch)
    }

    /// Whether changes there stay in memory.
    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.access(), Some(Access::Overlay | Access::Scratch))
    }

    /// The image that covers the path, if its use is no step.
    ///
    /// # Errors
    /// The image was denied when the execution started.
    pub(super) fn image(&self) -> Result<Option<Found<'a>>, GuestError> {
        Ok(self.image_found()?.filter(|image| !image.is_refused()))
    }

    fn image_found(&self) -> Result<Option<Found<'a>>, GuestError> {
        let Some((grant, path)) = self.found.filter(|_| self.access() == Some(Access::Image)) else { return Ok(None) };
        self.bridge.of_run::<Images>().find(grant, path)
    }

    /// The content of a file that is in memory.
    pub(super) fn kept(&self) -> Option<Arc<Vec<u8>>> {
        let (grant, relative) = self.found?;
        let changes = self.bridge.of_run::<Changes>();
        let changes = changes.lock();
        match changes.get(grant)?.look(relative) {
            Ok(Seen::File(content)) => Some(Arc::clone(content)),
            _ => None,
        }
    }

    /// Repeats a change in memory that an earlier run has made.
    pub(super) fn again(&self, change: impl FnOnce(&mut Overlay, &str)) {
        if let Some((grant, relative)) = self.found {
            let first = self.bridge.facts.grants.policy.files.get(grant).map_or(&[][..], |grant| grant.first_folders());
            change(self.bridge.of_run::<Changes>().lock().of(grant, first), relative);
        }
    }

    /// Runs a blocking effect on the folder of the grant, on a thread for that. It continues when the run is stopped, and the bridge stays
    /// blocked until it is over.
    pub(super) fn on_disk<T, E>(&self, effect: E) -> impl Future<Output = Result<T, GuestError>> + Send + use<T, E>
    where
        T: Send + 'static,
        E: FnOnce(&Grants, Merged<'_>, &str) -> Result<T, GuestError> + Send + 'static,
    {
        let (bridge, found) =
            (Arc::clone(self.bridge), self.found.map(|(grant, relative)| (grant, relative.to_owned())));
        let denied = GuestError::new(ErrorCode::Denied, format!("files {:?} (no grant covers it)", self.path));
        async move {
            let blocked = bridge.block().await;
            let (grant, relative) = found.ok_or(denied)?;
            let done = blocking(move || {
                let _blocked = blocked;
                let (grants, changes) = (&bridge.facts.grants, bridge.of_run::<Changes>());
                effect(grants, Merged::new(grants.opened("files")?, grant, &mut changes.lock()), &relative)
            });
            let panicked = |_| GuestError::new(ErrorCode::Failed, "the host gave the file operation up");
            done.await.map_err(panicked)?
        }
    }
}

/// Denies links and special files, as the disk shows them now, unless the run has changed them in memory; and to take something away from where
/// the ceiling does not let it be removed.
impl Floor for Place<'_> {
    fn check(&self) -> Result<(), GuestError> {
        let Some((grant, path)) = self.found else { return Ok(()) };
        let (grants, changes) = (&self.bridge.facts.grants, self.bridge.of_run::<Changes>());
        if let Some(path) = self.from {
            check_lent(grants, Operation::Remove, path)?;
        }
        if let Some(image) = self.image_found()? {
            return image.floor(self.operation);
        }
        Merged::new(grants.opened("files")?, grant, &mut changes.lock()).floor(self.operation, path)
    }
}

/// The largest file, in bytes, and the most files.
pub(super) fn bounds(grants: &Grants, grant: usize) -> (u64, u64) {
    grants.policy.files.get(grant).map_or((0, 0), |grant| (grant.max_file, grant.max_files))
}

/// The granted folders, for the files of WASI guests, and last what they lie below.
pub(super) fn roots(grants: &Grants) -> Vec<Root> {
    let root = |grant: &crate::policy::FilesGrant| Root {
        guest: grant.guest.clone(),
        is_writable: grant.access.changes(),
        in_memory: matches!(grant.access, Access::Overlay | Access::Scratch),
        max_file: grant.max_file,
    };
    grants.policy.files.iter().map(root).chain([above::root()]).collect()
}

/// An image that a policy grants.
#[derive(Clone)]
pub(super) struct ImageGrant {
    /// The index of its grant.
    pub(super) grant: usize,
    /// The id of its rule.
    pub(super) rule: String,
    /// Its path in the guest.
    pub(super) guest: String,
    /// Its folder on this machine.
    pub(super) host: PathBuf,
    /// The largest file that may be read, in bytes.
    pub(super) max_file: u64,
    /// Whether the store keeps its files.
    pub(super) keep: bool,
}

/// The images that a policy grants, in its order.
pub(super) fn image_grants(grants: &Grants) -> impl Iterator<Item = ImageGrant> {
    image_grants_of(grants.here())
}

/// The same of a policy as it is written.
pub(super) fn image_grants_of(policy: &Policy) -> impl Iterator<Item = ImageGrant> {
    let images = policy.files.iter().enumerate().filter(|(_, grant)| grant.access == Access::Image);
    images.map(|(index, grant)| ImageGrant {
        grant: index,
        rule: grant.id.clone(),
        guest: grant.guest.clone(),
        host: grant.host.clone(),
        max_file: grant.max_file,
        keep: grant.keep,
    })
}

/// Checks an operation against the ceiling of the host.
///
/// # Errors
/// The denial.
pub(super) fn check_lent(grants: &Grants, operation: Operation, path: &str) -> Result<(), GuestError> {
    grants.ceiling(&Call::Files(FilesCall { operation, path, bytes: 0 }), true)
}

/// The most bytes that one read may return.
fn room(grants: &Grants, grant: usize) -> u64 {
    bounds(grants, grant).0.min(grants.policy.limits.bytes_per_call)
}

impl From<Entry> for files::Entry {
    fn from(entry: Entry) -> Self {
        let kind = match entry.kind {
            FileKind::File => files::FileKind::File,
            FileKind::Directory => files::FileKind::Directory,
            FileKind::Other => files::FileKind::Other,
        };
        Self { name: entry.name, kind, size: entry.size }
    }
}
