//! The steps of the file system of WASI guests ([`crate::vfs`]): the same as those of `everstep:host/files`, and once per file.
//!
//! The outcome of such a step keeps the reason of a failure by its name, because WASI tells them apart; what the policy or the host refuses is
//! an error of the step, as everywhere.

use super::above;
use super::adapter::{Changes, Operation, Place, bounds, roots};
use super::folder::Refusal;
use super::kept;
use super::merged::Merged;
use super::overlay::Overlay;
use crate::bridge::{Arg, Bridge, Fault, Json, Step};
use crate::engine::wasi::VirtualWasi;
use crate::grants::Grants;
use crate::guest_error::{ErrorCode, GuestError};
use crate::policy::{ClockGrant, quoted};
use crate::turns::Ctx;
use crate::vfs::{Disk, Entry, Errno, How, Kind, Look, Result, Root, Save, Status, Times};
use rustix::io::Errno as System;
use std::sync::Arc;

/// What a step has done, or why not.
type Answer<T> = std::result::Result<T, Errno>;

const NS_PER_MS: u64 = 1_000_000;

/// The time of a change, for a guest whose clock is the recorded one.
fn time_of(bridge: &Bridge) -> Option<u64> {
    let is_recorded = bridge.facts.grants.policy.clock == ClockGrant::Recorded;
    is_recorded.then(|| bridge.facts.clock.now_ms().saturating_mul(NS_PER_MS))
}

/// Without its times, if the guest may not know the time.
fn timed(grants: &Grants, status: Status) -> Status {
    if grants.policy.clock == ClockGrant::Recorded {
        return status;
    }
    Status { accessed: None, modified: None, changed: None, ..status }
}

pub(super) fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::Missing => Errno::NoEntry,
        Refusal::Link | Refusal::Special | Refusal::Reserved | Refusal::Withheld | Refusal::NamedElsewhere => {
            Errno::Denied
        }
        Refusal::Folder => Errno::IsDirectory,
        Refusal::NoFolder => Errno::NotDirectory,
        Refusal::TooLarge => Errno::FileTooLarge,
        Refusal::TooMany => Errno::Quota,
        Refusal::InDoubt => Errno::Io,
        Refusal::System(System::EXIST) => Errno::Exist,
        Refusal::System(System::NOTEMPTY) => Errno::NotEmpty,
        Refusal::System(System::INVAL) => Errno::Invalid,
        Refusal::System(System::XDEV) => Errno::CrossDevice,
        Refusal::System(System::NOSPC) => Errno::InsufficientSpace,
        Refusal::System(System::DQUOT) => Errno::Quota,
        Refusal::System(System::ROFS) => Errno::ReadOnly,
        Refusal::System(System::ACCESS) => Errno::Denied,
        Refusal::System(System::PERM) => Errno::NotPermitted,
        Refusal::System(System::NAMETOOLONG) => Errno::NameTooLong,
        Refusal::System(System::BUSY) => Errno::Busy,
        Refusal::System(System::FBIG) => Errno::FileTooLarge,
        Refusal::System(_) => Errno::Io,
    }
}

/// The outcome of a step. What no policy can allow is a denial, also if it has appeared since the decision.
fn answer<T>(
    folder: &Merged<'_>,
    operation: Operation,
    path: &str,
    done: std::result::Result<T, Refusal>,
) -> std::result::Result<Json<Answer<T>>, GuestError> {
    match done {
        Err(
            refusal @ (Refusal::Link
            | Refusal::Special
            | Refusal::Reserved
            | Refusal::Withheld
            | Refusal::NamedElsewhere
            | Refusal::InDoubt),
        ) => Err(folder.refused(operation.name(), path, refusal, 0)),
        done => Ok(Json(done.map_err(errno))),
    }
}

/// A change: what it does on disk, and what it keeps in memory.
struct Change<'a, T, D, M> {
    place: &'a Place<'a>,
    step: Step<'a>,
    on_disk: D,
    in_memory: M,
    again: &'a (dyn Fn(&mut Overlay, &str, bool, &T) + Sync),
}

impl<T, D, M> Change<'_, T, D, M>
where
    T: serde::Serialize + serde::de::DeserializeOwned + Send + 'static,
    D: FnOnce(&Merged<'_>, &str, bool) -> std::result::Result<T, Refusal> + Send + 'static,
    M: FnOnce(&mut Merged<'_>, &str, &Grants) -> std::result::Result<T, Refusal> + Send + 'static,
{
    async fn make(self, bridge: &Bridge) -> Result<T> {
        let Self { place, step, on_disk, in_memory, again } = self;
        let operation = place.operation;
        if place.is_in_memory() {
            let effect = move |grants: &Grants, mut folder: Merged<'_>, path: &str| {
                let done = in_memory(&mut folder, path, grants);
                answer(&folder, operation, path, done)
            };
            let is_scratch = place.is_scratch();
            let again = |Json(answer): &Json<Answer<T>>| {
                if let Ok(value) = answer {
                    place.again(|overlay, path| again(overlay, path, is_scratch, value));
                }
            };
            return place.taken(bridge.change(&step, || place.on_disk(effect), again).await);
        }
        let effect = |repeated| {
            let effect = move |_: &Grants, folder: Merged<'_>, path: &str| {
                let done = on_disk(&folder, path, repeated);
                answer(&folder, operation, path, done)
            };
            place.on_disk(effect)
        };
        place.taken(bridge.external(&step, effect).await)
    }
}

impl Disk for Ctx {
    fn roots(&self) -> Vec<Root> {
        roots(&self.bridge.facts.grants)
    }

    fn room(&mut self) -> u64 {
        let kept = self.bridge.of_run::<Changes>().lock().held();
        self.limiter.note_kept(kept);
        let limit = self.bridge.facts.limits().memory;
        limit.saturating_sub(self.limiter.memory()).saturating_sub(kept).saturating_sub(self.limiter.held_by_requests())
    }

    fn told_ns(&mut self) -> Option<u64> {
        self.wasi.as_ref().and_then(VirtualWasi::told_ns)
    }

    fn kept(&self, path: &str) -> Option<Arc<Vec<u8>>> {
        Place::new(&self.bridge, Operation::Read, path).kept()
    }

    fn is_over_quota(&self, unsaved: &[(&str, u64)]) -> bool {
        self.bridge.is_over_files_quota(unsaved)
    }

    async fn refuse(&mut self, path: &str, bytes: u64) -> Result<()> {
        let bridge = Arc::clone(&self.bridge);
        let place = Place::new(&bridge, Operation::Save, path);
        let args = [Arg::deciding("path", path.as_bytes())];
        let step = place.step("files.write", &args, bytes);
        let over = || {
            let message = format!("files write {} (the files to be saved exceed a quota of their rule)", quoted(path));
            Err(GuestError::new(ErrorCode::LimitExceeded, message))
        };
        place.done(bridge.read::<(), _>(&step, async || over()).await)
    }

    async fn look(&mut self, path: &str) -> Result<Look> {
        if let Some(look) = above::look(&self.bridge.facts.grants.policy, path) {
            return Ok(look);
        }
        let bridge = Arc::clone(&self.bridge);
        let place = Place::new(&bridge, Operation::Stat, path);
        if let Some(image) = place.done(place.image().map_err(Fault::Guest))? {
            return Ok(image.look(|status| timed(&bridge.facts.grants, status)));
        }
        let args = [Arg::deciding("path", path.as_bytes())];
        let step = place.step("files.stat", &args, 0);
        let at = time_of(&bridge);
        let effect = move |grants: &Grants, folder: Merged<'_>, path: &str| {
            let found = folder.status(path).map(|status| timed(grants, status));
            let has_folder = found.is_ok() || folder.has_folder(path);
            let Json(status) = answer(&folder, Operation::Stat, path, found)?;
            Ok(Json(Look { at, status, has_folder }))
        };
        let Json(look) = place.done(bridge.read(&step, || place.on_disk(effect)).await)?;
        Ok(look)
    }

    async fn list(&mut self, path: &str) -> Result<Vec<Entry>> {
        if let Some(entries) = above::entries(&self.bridge.facts.grants.policy, path) {
            return Ok(entries);
        }
        let bridge = Arc::clone(&self.bridge);
        let place = Place::new(&bridge, Operation::List, path);
        if let Some(image) = place.done(place.image().map_err(Fault::Guest))? {
            let most = bridge.facts.limits().bytes_per_call;
            return Ok(image.listed(most, |status| timed(&bridge.facts.grants, status)).map_err(errno)?);
        }
        let args = [Arg::deciding("path", path.as_bytes())];
        let step = place.step("files.list", &args, 0);
        let effect = |grants: &Grants, folder: Merged<'_>, path: &str| {
            let mut done = folder.entries(path, grants.policy.limits.bytes_per_call);
            for entry in done.iter_mut().flatten() {
                entry.status = entry.status.map(|status| timed(grants, status));
            }
            answer(&folder, Operation::List, path, done)
        };
        place.taken(bridge.read(&step, || place.on_disk(effect)).await)
    }

    async fn read(&mut self, path: &str, offset: u64, len: u64) -> Result<Vec<u8>> {
        let bridge = Arc::clone(&self.bridge);
        let place = Place::new(&bridge, Operation::Read, path);
        if let Some(image) = place.done(place.image().map_err(Fault::Guest))? {
            let read = place.done(image.part(offset, len).await.map_err(Fault::Stop))?;
            return Ok(read.map_err(errno)?);
        }
        let (from, bytes) = (offset.to_le_bytes(), len.to_le_bytes());
        let args = [Arg::deciding("path", path.as_bytes()), Arg::of("offset", &from), Arg::of("length", &bytes)];
        let step = place.step("files.read", &args, 0);
        let effect = move |grants: &Grants, folder: Merged<'_>, path: &str| {
            let (max, _) = bounds(grants, folder.grant);
            let done = folder.read_part(path, (offset, len), max);
            let Json(read) = answer(&folder, Operation::Read, path, done)?;
            Ok(Chunk(read))
        };
        let Chunk(read) = place.done(bridge.read(&step, || place.on_disk(effect)).await)?;
        Ok(read?)
    }

    async fn save(&mut self, path: &str, save: Save) -> Result<Option<Status>> {
        let bridge = Arc::clone(&self.bridge);
        let place = Place::new(&bridge, Operation::Save, path);
        let (how, kept) = match save.how {
            How::Whole => ("files.write", 0),
            How::Append(at) => ("files.append", at),
            How::Patch => ("files.patch", save.kept),
        };
        let (kept, size) = (kept.to_string(), save.size.to_string());
        let offsets: Vec<String> = save.parts.iter().map(|part| part.offset.to_string()).collect();
        let mut args = vec![Arg::deciding("path", path.as_bytes())];
        for (part, offset) in save.parts.iter().zip(&offsets) {
            args.push(Arg::of("content", part.bytes()));
            args.push(Arg::of("offset", offset.as_bytes()));
        }
        args.extend([Arg::of("kept", kept.as_bytes()), Arg::of("size", size.as_bytes())]);
        if save.is_plain() {
            // Who approves of it sees the file, and no numbers.
            args.truncate(2);
        }
        let step = place.step(how, &args, save.cost());
        let save = Arc::new(save.clone());
        let (on_disk, in_memory, now) = (Arc::clone(&save), Arc::clone(&save), time_of(&bridge));
        let again = |overlay: &mut Overlay, path: &str, _: bool, status: &Option<Status>| {
            kept::keep(overlay, path, &save, status.and_then(|status| status.modified));
        };
        let change = Change {
            place: &place,
            step,
            on_disk: move |folder: &Merged<'_>, path: &str, repeated: bool| {
                folder.folders.save(folder.grant, path, &on_disk, repeated)
            },
            in_memory: move |folder: &mut Merged<'_>, path: &str, _: &Grants| {
                folder.save_in_memory(path, &in_memory, now).map(Some)
            },
            again: &again,
        };
        let saved = change.make(&bridge).await?;
        Ok(saved.map(|status| timed(&bridge.facts.grants, status)))
    }

    async fn create(&mut self, path: &str, nth: u64) -> Result<Option<Status>> {
        let bridge = Arc::clone(&self.bridge);
        if !bridge.creates_files() {
            return Ok(None);
        }
        let place = Place::new(&bridge, Operation::Save, path);
        let count = nth.to_le_bytes();
        let args = [Arg::deciding("path", path.as_bytes()), Arg::of("content", b""), Arg::of("new", &count)];
        let step = place.step("files.write", &args, 0);
        // Its own file is known by a mark that nobody else makes.
        let mark = *blake3::keyed_hash(&bridge.facts.seed, &[b"new file", path.as_bytes(), &count].concat()).as_bytes();
        let effect = |repeated| {
            let effect = move |_: &Grants, folder: Merged<'_>, path: &str| {
                let created = folder.folders.create(folder.grant, path, &mark, repeated);
                answer(&folder, Operation::Save, path, created)
            };
            place.on_disk(effect)
        };
        let created = place.taken(bridge.external(&step, effect).await)?;
        Ok(Some(timed(&bridge.facts.grants, created)))
    }

    async fn make_folder(&mut self, path: &str) -> Result<()> {
        let bridge = Arc::clone(&self.bridge);
        let place = Place::new(&bridge, Operation::MakeFolder, path);
        let args = [Arg::deciding("path", path.as_bytes())];
        let step = place.step("files.make-folder", &args, 0);
        let now = time_of(&bridge);
        let change = Change {
            place: &place,
            step,
            on_disk: |folder: &Merged<'_>, path: &str, repeated: bool| {
                folder.folders.make_folder(folder.grant, path, repeated).map(|()| None)
            },
            in_memory: move |folder: &mut Merged<'_>, path: &str, _: &Grants| {
                folder.make_folder_in_memory(path, now).map(|()| now)
            },
            again: &|overlay: &mut Overlay, path: &str, _: bool, now: &Option<u64>| {
                kept::made_folder(overlay, path, *now);
            },
        };
        change.make(&bridge).await.map(drop)
    }

    async fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let bridge = Arc::clone(&self.bridge);
        let place = Place::new(&bridge, Operation::Rename, to).moved_from(from);
        let args = [Arg::deciding("from", from.as_bytes()), Arg::deciding("to", to.as_bytes())];
        let subject = format!("{from} to {to}");
        let step = Step { subject: &subject, ..place.step("files.rename", &args, 0) };
        // Both paths are below the same root.
        let Some((_, old)) = bridge.facts.grants.policy.resolve(from) else { return Err(Errno::NoEntry.into()) };
        let (on_disk, in_memory) = (old.to_owned(), old.to_owned());
        let change = Change {
            place: &place,
            step,
            on_disk: move |folder: &Merged<'_>, path: &str, repeated: bool| {
                folder.folders.rename(folder.grant, &on_disk, path, repeated)
            },
            in_memory: move |folder: &mut Merged<'_>, path: &str, _: &Grants| folder.rename_in_memory(&in_memory, path),
            again: &|overlay: &mut Overlay, path: &str, is_scratch: bool, (): &()| {
                kept::renamed(overlay, old, path, is_scratch);
            },
        };
        change.make(&bridge).await
    }

    async fn remove(&mut self, path: &str, kind: Kind) -> Result<()> {
        let bridge = Arc::clone(&self.bridge);
        let place = Place::new(&bridge, Operation::Remove, path);
        let which: &[u8] = if kind == Kind::Folder { b"folder" } else { b"file" };
        let args = [Arg::deciding("path", path.as_bytes()), Arg::of("kind", which)];
        let step = place.step("files.remove", &args, 0);
        let change = Change {
            place: &place,
            step,
            on_disk: move |folder: &Merged<'_>, path: &str, repeated: bool| {
                folder.folders.remove_kind(folder.grant, path, kind, repeated)
            },
            in_memory: move |folder: &mut Merged<'_>, path: &str, grants: &Grants| {
                let (_, max) = bounds(grants, folder.grant);
                folder.remove_in_memory(path, kind, max)
            },
            again: &|overlay: &mut Overlay, path: &str, is_scratch: bool, (): &()| {
                kept::removed(overlay, path, is_scratch);
            },
        };
        change.make(&bridge).await
    }

    async fn set_times(&mut self, path: &str, times: Times) -> Result<Status> {
        let bridge = Arc::clone(&self.bridge);
        let place = Place::new(&bridge, Operation::SetTimes, path);
        let bytes = |time: Option<u64>| time.map(u64::to_le_bytes).unwrap_or_default();
        let (accessed, modified) = (bytes(times.accessed), bytes(times.modified));
        let which = [u8::from(times.accessed.is_some()), u8::from(times.modified.is_some())];
        let args = [
            Arg::deciding("path", path.as_bytes()),
            Arg::of("accessed", &accessed),
            Arg::of("modified", &modified),
            Arg::of("which", &which),
        ];
        let step = place.step("files.set-times", &args, 0);
        let change = Change {
            place: &place,
            step,
            on_disk: move |folder: &Merged<'_>, path: &str, _: bool| {
                folder.folders.set_times(folder.grant, path, times)
            },
            in_memory: move |folder: &mut Merged<'_>, path: &str, _: &Grants| folder.set_times_in_memory(path, times),
            again: &move |overlay: &mut Overlay, path: &str, _: bool, _: &Status| overlay.set_times(path, times),
        };
        let status = change.make(&bridge).await?;
        Ok(timed(&bridge.facts.grants, status))
    }
}

/// A part of a file, as a journal keeps it: a byte for the reason of a failure, or 0 and the bytes.
struct Chunk(Answer<Vec<u8>>);

impl crate::bridge::Value for Chunk {
    fn to_bytes(&self) -> std::borrow::Cow<'_, [u8]> {
        std::borrow::Cow::Owned(match &self.0 {
            Ok(bytes) => [&[0], bytes.as_slice()].concat(),
            // Names always serialise.
            Err(errno) => [&[1], serde_json::to_vec(errno).unwrap_or_default().as_slice()].concat(),
        })
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (0, bytes) => Some(Self(Ok(bytes.to_vec()))),
            (1, errno) => serde_json::from_slice(errno).ok().map(|errno| Self(Err(errno))),
            _ => None,
        }
    }
}
