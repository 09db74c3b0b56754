//! `everstep:host/files` over [`super::Folders`].

use super::effect::{Entry, FileKind};
use super::merged::Merged;
use super::overlay::Overlay;
use crate::bindings::everstep::host::files;
use crate::bridge::{Arg, Bridge, Fault, Floor, Json, Step};
use crate::grants::Grants;
use crate::guest_error::{ErrorCode, GuestError};
use crate::policy::{Access, Call, FileOperation, FilesCall};
use crate::turns::Ctx;
use std::sync::Arc;

impl files::Host for Ctx {
    async fn read(&mut self, path: String) -> Result<Vec<u8>, Fault> {
        let bridge = Arc::clone(&self.bridge);
        let (place, args) =
            (Place { operation: FileOperation::Read, path: &path }, [Arg::deciding("path", path.as_bytes())]);
        let step = place.step("files.read", &args, 0);
        let effect = |grants: &Grants, folder: Merged<'_>, path: &str| folder.read(path, room(grants, folder.grant));
        bridge.read(&step, || on_disk(&bridge, &path, effect)).await
    }

    async fn write(&mut self, path: String, content: Vec<u8>) -> Result<(), Fault> {
        let bridge = Arc::clone(&self.bridge);
        let content = Arc::new(content);
        let place = Place { operation: FileOperation::Write, path: &path };
        let args = [Arg::deciding("path", path.as_bytes()), Arg::of("content", &content)];
        let step = place.step("files.write", &args, content.len() as u64);
        let kept = Arc::clone(&content);
        if is_overlay(&bridge, &path) {
            let effect = move |_: &Grants, mut folder: Merged<'_>, path: &str| folder.write(path, kept);
            let again = |(): &()| again(&bridge, &path, |overlay, path| overlay.write(path, Arc::clone(&content)));
            return bridge.change(&step, || on_disk(&bridge, &path, effect), again).await;
        }
        let effect =
            move |grants: &Grants, folder: Merged<'_>, path: &str| grants.folders.write(folder.grant, path, &kept);
        bridge.external(&step, |_| on_disk(&bridge, &path, effect)).await
    }

    async fn replace(&mut self, path: String, before: Option<Vec<u8>>, content: Vec<u8>) -> Result<bool, Fault> {
        let bridge = Arc::clone(&self.bridge);
        let content = Arc::new(content);
        // No file is another thing than an empty one.
        let presence: &[u8] = if before.is_some() { b"file" } else { b"" };
        let place = Place { operation: FileOperation::Write, path: &path };
        let args = [
            Arg::deciding("path", path.as_bytes()),
            Arg::of("before", before.as_deref().unwrap_or_default()),
            Arg::of("content", &content),
            Arg::of("presence", presence),
        ];
        let step = place.step("files.replace", &args, content.len() as u64);
        let (kept, expected) = (Arc::clone(&content), before.clone());
        if is_overlay(&bridge, &path) {
            let effect = move |_: &Grants, mut folder: Merged<'_>, path: &str| {
                folder.replace(path, expected.as_deref(), kept).map(Json)
            };
            let again = |Json(replaced): &Json<bool>| {
                if *replaced {
                    again(&bridge, &path, |overlay, path| overlay.write(path, Arc::clone(&content)));
                }
            };
            let Json(replaced) = bridge.change(&step, || on_disk(&bridge, &path, effect), again).await?;
            return Ok(replaced);
        }
        let effect = |repeated| {
            let replace = move |grants: &Grants, folder: Merged<'_>, path: &str| {
                grants.folders.replace(folder.grant, path, expected.as_deref(), &kept, repeated).map(Json)
            };
            on_disk(&bridge, &path, replace)
        };
        let Json(replaced) = bridge.external(&step, effect).await?;
        Ok(replaced)
    }

    async fn list(&mut self, path: String) -> Result<Vec<files::Entry>, Fault> {
        let bridge = Arc::clone(&self.bridge);
        let (place, args) =
            (Place { operation: FileOperation::List, path: &path }, [Arg::deciding("path", path.as_bytes())]);
        let step = place.step("files.list", &args, 0);
        let effect = |grants: &Grants, folder: Merged<'_>, path: &str| {
            folder.list(path, grants.policy.limits.bytes_per_call).map(Json)
        };
        let Json(entries) = bridge.read(&step, || on_disk(&bridge, &path, effect)).await?;
        Ok(entries.into_iter().map(Into::into).collect())
    }

    async fn stat(&mut self, path: String) -> Result<files::Entry, Fault> {
        let bridge = Arc::clone(&self.bridge);
        let (place, args) =
            (Place { operation: FileOperation::Stat, path: &path }, [Arg::deciding("path", path.as_bytes())]);
        let step = place.step("files.stat", &args, 0);
        let effect = |_: &Grants, folder: Merged<'_>, path: &str| folder.stat(path).map(Json);
        let Json(entry) = bridge.read(&step, || on_disk(&bridge, &path, effect)).await?;
        Ok(entry.into())
    }

    async fn remove(&mut self, path: String) -> Result<(), Fault> {
        let bridge = Arc::clone(&self.bridge);
        let (place, args) =
            (Place { operation: FileOperation::Remove, path: &path }, [Arg::deciding("path", path.as_bytes())]);
        let step = place.step("files.remove", &args, 0);
        if is_overlay(&bridge, &path) {
            let effect = |grants: &Grants, mut folder: Merged<'_>, path: &str| {
                let max = grants.policy.files.get(folder.grant).map_or(0, |grant| grant.max_files);
                folder.remove(path, max)
            };
            let again = |(): &()| again(&bridge, &path, Overlay::remove);
            return bridge.change(&step, || on_disk(&bridge, &path, effect), again).await;
        }
        let effect = |repeated| {
            let remove = move |grants: &Grants, folder: Merged<'_>, path: &str| {
                grants.folders.remove(folder.grant, path, repeated)
            };
            on_disk(&bridge, &path, remove)
        };
        bridge.external(&step, effect).await
    }
}

/// Runs an effect where it may block, on the folder of the grant that covers `path`. It goes on when the run is stopped, and the
/// bridge stays blocked until it is over.
fn on_disk<T, E>(
    bridge: &Arc<Bridge>,
    path: &str,
    effect: E,
) -> impl Future<Output = Result<T, GuestError>> + Send + use<T, E>
where
    T: Send + 'static,
    E: FnOnce(&Grants, Merged<'_>, &str) -> Result<T, GuestError> + Send + 'static,
{
    let (bridge, path) = (Arc::clone(bridge), path.to_owned());
    async move {
        let blocked = bridge.block().await;
        let task = tokio::task::spawn_blocking(move || {
            let _blocked = blocked;
            let grants = &bridge.grants;
            match grants.policy.resolve(&path) {
                Some((grant, relative)) => {
                    let mut overlays = bridge.overlays();
                    effect(grants, Merged::new(&grants.folders, grant, &mut overlays), relative)
                }
                None => Err(GuestError::new(ErrorCode::Denied, format!("files {path:?} (no grant covers it)"))),
            }
        });
        let lost = |_| Err(GuestError::new(ErrorCode::Failed, "the host gave the file operation up"));
        task.await.unwrap_or_else(lost)
    }
}

/// Whether changes at `path` stay in memory.
fn is_overlay(bridge: &Bridge, path: &str) -> bool {
    let policy = &bridge.grants.policy;
    policy.resolve(path).is_some_and(|(grant, _)| policy.files[grant].access == Access::Overlay)
}

/// Makes a change in memory that an earlier run has made.
fn again(bridge: &Bridge, path: &str, change: impl FnOnce(&mut Overlay, &str)) {
    if let Some((grant, relative)) = bridge.grants.policy.resolve(path) {
        change(bridge.overlays().of(grant), relative);
    }
}

/// What is done, and where.
struct Place<'a> {
    operation: FileOperation,
    path: &'a str,
}

impl Place<'_> {
    fn step<'s>(&'s self, kind: &'static str, args: &'s [Arg<'s>], bytes: u64) -> Step<'s> {
        let Self { operation, path } = *self;
        let grant = Call::Files(FilesCall { operation, path, bytes });
        Step { floor: Some(self), ..Step::new(kind, path, args, grant) }
    }
}

/// Links and special files, as the disk shows them now where the run has not changed it in memory.
impl Floor for Place<'_> {
    fn check(&self, bridge: &Bridge) -> Result<(), GuestError> {
        let grants = &bridge.grants;
        match grants.policy.resolve(self.path) {
            Some((grant, path)) => {
                Merged::new(&grants.folders, grant, &mut bridge.overlays()).floor(self.operation, path)
            }
            None => Ok(()),
        }
    }
}

/// How much one read may bring.
fn room(grants: &Grants, grant: usize) -> u64 {
    let max_file = grants.policy.files.get(grant).map_or(0, |grant| grant.max_file);
    max_file.min(grants.policy.limits.bytes_per_call)
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
