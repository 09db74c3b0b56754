//! `everstep:host/files` over [`super::Folders`].

use super::effect::{Entry, FileKind};
use crate::bindings::everstep::host::files;
use crate::bridge::{Bridge, Fault, Json, Step};
use crate::grants::Grants;
use crate::guest_error::{ErrorCode, GuestError};
use crate::policy::{Call, FileOperation};
use crate::worker::Ctx;
use std::sync::Arc;

impl files::Host for Ctx {
    async fn read(&mut self, path: String) -> Result<Vec<u8>, Fault> {
        let bridge = Arc::clone(&self.bridge);
        let args = [path.as_bytes()];
        let step = step("files.read", FileOperation::Read, &path, &args, 0);
        let effect = |grants: &Grants, grant: usize, path: &str| grants.folders.read(grant, path, room(grants, grant));
        bridge.read(&step, || on_disk(&bridge, &path, effect)).await
    }

    async fn write(&mut self, path: String, content: Vec<u8>) -> Result<(), Fault> {
        let bridge = Arc::clone(&self.bridge);
        let content = Arc::new(content);
        let args = [path.as_bytes(), &content];
        let step = step("files.write", FileOperation::Write, &path, &args, content.len() as u64);
        let kept = Arc::clone(&content);
        let effect = move |grants: &Grants, grant: usize, path: &str| grants.folders.write(grant, path, &kept);
        bridge.external(&step, |_| on_disk(&bridge, &path, effect)).await
    }

    async fn list(&mut self, path: String) -> Result<Vec<files::Entry>, Fault> {
        let bridge = Arc::clone(&self.bridge);
        let args = [path.as_bytes()];
        let step = step("files.list", FileOperation::List, &path, &args, 0);
        let effect = |grants: &Grants, grant: usize, path: &str| {
            grants.folders.list(grant, path, grants.policy.limits.bytes_per_call).map(Json)
        };
        let Json(entries) = bridge.read(&step, || on_disk(&bridge, &path, effect)).await?;
        Ok(entries.into_iter().map(Into::into).collect())
    }

    async fn stat(&mut self, path: String) -> Result<files::Entry, Fault> {
        let bridge = Arc::clone(&self.bridge);
        let args = [path.as_bytes()];
        let step = step("files.stat", FileOperation::Stat, &path, &args, 0);
        let effect = |grants: &Grants, grant: usize, path: &str| grants.folders.stat(grant, path).map(Json);
        let Json(entry) = bridge.read(&step, || on_disk(&bridge, &path, effect)).await?;
        Ok(entry.into())
    }

    async fn remove(&mut self, path: String) -> Result<(), Fault> {
        let bridge = Arc::clone(&self.bridge);
        let args = [path.as_bytes()];
        let step = step("files.remove", FileOperation::Remove, &path, &args, 0);
        let effect = |repeated| {
            let remove = move |grants: &Grants, grant: usize, path: &str| grants.folders.remove(grant, path, repeated);
            on_disk(&bridge, &path, remove)
        };
        bridge.external(&step, effect).await
    }
}

/// Runs an effect where it may block, on the grant that covers `path`. It goes on when the run is stopped, and the bridge stays
/// blocked until it is over.
fn on_disk<T, E>(
    bridge: &Arc<Bridge>,
    path: &str,
    effect: E,
) -> impl Future<Output = Result<T, GuestError>> + Send + use<T, E>
where
    T: Send + 'static,
    E: FnOnce(&Grants, usize, &str) -> Result<T, GuestError> + Send + 'static,
{
    let (bridge, path) = (Arc::clone(bridge), path.to_owned());
    async move {
        let (blocked, grants) = (bridge.block().await, Arc::clone(&bridge.grants));
        let task = tokio::task::spawn_blocking(move || {
            let _blocked = blocked;
            match grants.policy.resolve(&path) {
                Some((grant, relative)) => effect(&grants, grant, relative),
                None => Err(GuestError::new(ErrorCode::Denied, format!("files {path:?} (no grant covers it)"))),
            }
        });
        let lost = |_| Err(GuestError::new(ErrorCode::Failed, "the host gave the file operation up"));
        task.await.unwrap_or_else(lost)
    }
}

fn step<'a>(kind: &'static str, operation: FileOperation, path: &'a str, args: &'a [&'a [u8]], bytes: u64) -> Step<'a> {
    Step { kind, subject: path, args, grant: Call::Files { operation, path, bytes } }
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
