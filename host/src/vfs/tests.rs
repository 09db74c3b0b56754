//! The file system over a disk in memory, whose steps are recorded and repeated as a journal does it.

mod against_a_model;
mod bounds;
mod calls;

use super::*;
use crate::guest_error::{ErrorCode, GuestError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A disk, and the record of the steps on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Fake {
    /// `None`: a folder.
    pub(super) files: BTreeMap<String, Option<Vec<u8>>>,
    pub(super) roots: Vec<Root>,
    pub(super) room: u64,
    /// Each step, with its outcome.
    pub(super) record: Vec<(String, Outcome)>,
    /// How many of them the guest has repeated.
    pub(super) at: usize,
    /// The steps that were made, not repeated.
    pub(super) made: Vec<String>,
    pub(super) kept: BTreeMap<String, Arc<Vec<u8>>>,
    /// Makes every save fail.
    pub(super) is_full: bool,
    pub(super) quota: Option<u64>,
}

/// The outcome of a step.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Look(Look),
    List(std::result::Result<Vec<Entry>, Errno>),
    Read(std::result::Result<Vec<u8>, Errno>),
    Save(std::result::Result<Option<Status>, Errno>),
    Done(std::result::Result<(), Errno>),
}

pub(super) fn root(guest: &str) -> Root {
    Root { guest: guest.to_owned(), is_writable: true, in_memory: false, max_file: 1 << 40 }
}

pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(super) fn errno<T: std::fmt::Debug>(done: Result<T>) -> Errno {
    done.unwrap_err().errno().unwrap()
}

pub(super) const READ: Flags = Flags { read: true, write: false, mutate: false };
pub(super) const BOTH: Flags = Flags { read: true, write: true, mutate: false };
pub(super) const OLD: Open = Open { create: false, directory: false, exclusive: false, truncate: false };
pub(super) const NEW: Open = Open { create: true, ..OLD };

impl Fake {
    pub(super) fn new() -> Self {
        let files = BTreeMap::from([("/data".to_owned(), None)]);
        Self { files, roots: vec![root("/data")], room: 64 << 20, ..Self::default() }
    }

    pub(super) fn with(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), Some(content.into()));
        self
    }

    /// Repeats the step if it is recorded, or makes it.
    fn step(&mut self, step: String, make: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        if let Some((recorded, outcome)) = self.record.get(self.at) {
            assert_eq!(*recorded, step, "a replay diverges at step {}", self.at);
            self.at += 1;
            return outcome.clone();
        }
        let outcome = make(self);
        self.made.push(step.clone());
        self.record.push((step, outcome.clone()));
        self.at += 1;
        outcome
    }

    fn status(&self, path: &str) -> std::result::Result<Status, Errno> {
        let time = Some(
            1_000
                + self
                    .made
                    .iter()
                    .filter(|made| made.ends_with(path) && !made.starts_with("look") && !made.starts_with("read"))
                    .count() as u64,
        );
        let content = self.files.get(path).ok_or(Errno::NoEntry)?;
        let (kind, size) = content.as_ref().map_or((Kind::Folder, 0), |content| (Kind::File, content.len() as u64));
        Ok(Status { kind, size, accessed: time, modified: time, changed: time })
    }

    fn write(&mut self, path: &str, save: &Save) -> std::result::Result<Option<Status>, Errno> {
        if self.is_full {
            return Err(Errno::InsufficientSpace);
        }
        let old = self.files.get(path).cloned().flatten().unwrap_or_default();
        if matches!(save.how, How::Append(at) if at != old.len() as u64) {
            return Ok(None);
        }
        let mut new = if save.how == How::Whole { Vec::new() } else { old };
        new.truncate(if save.how == How::Patch { save.kept as usize } else { usize::MAX });
        new.resize(save.size as usize, 0);
        for part in &save.parts {
            new[part.offset as usize..][..part.bytes().len()].copy_from_slice(part.bytes());
        }
        self.files.insert(path.to_owned(), Some(new));
        self.status(path).map(Some)
    }

    fn children(&self, path: &str) -> Vec<(String, Kind)> {
        let lead = format!("{path}/");
        let below = self.files.range(lead.clone()..).take_while(|(path, _)| path.starts_with(&lead));
        let named = below.map(|(path, content)| (path[lead.len()..].to_owned(), content));
        let direct = named.filter(|(name, _)| !name.contains('/'));
        direct.map(|(name, content)| (name, if content.is_some() { Kind::File } else { Kind::Folder })).collect()
    }

    fn move_all(&mut self, from: &str, to: &str) -> std::result::Result<(), Errno> {
        let source = self.files.get(from).ok_or(Errno::NoEntry)?.is_some();
        match self.files.get(to) {
            Some(None) if source => return Err(Errno::IsDirectory),
            Some(Some(_)) if !source => return Err(Errno::NotDirectory),
            Some(None) if !self.children(to).is_empty() => return Err(Errno::NotEmpty),
            None if self.files.get(path::folder(to)).is_none_or(Option::is_some) => return Err(Errno::NoEntry),
            _ => {}
        }
        let lead = format!("{from}/");
        let moved: Vec<String> =
            self.files.keys().filter(|path| *path == from || path.starts_with(&lead)).cloned().collect();
        for old in moved {
            let content = self.files.remove(&old).unwrap();
            self.files.insert(format!("{to}{}", &old[from.len()..]), content);
        }
        Ok(())
    }
}

impl Disk for Fake {
    fn roots(&self) -> Vec<Root> {
        self.roots.clone()
    }

    fn room(&mut self) -> u64 {
        self.room
    }

    fn told_ns(&mut self) -> Option<u64> {
        None
    }

    fn kept(&self, path: &str) -> Option<Arc<Vec<u8>>> {
        self.kept.get(path).cloned()
    }

    fn is_over_quota(&self, unsaved: &[(&str, u64)]) -> bool {
        self.quota.is_some_and(|quota| unsaved.iter().map(|(_, size)| size).sum::<u64>() > quota)
    }

    async fn refuse(&mut self, path: &str, bytes: u64) -> Result<()> {
        self.step(format!("refuse {bytes} {path}"), |_| Outcome::Done(Ok(())));
        let code = if self.quota.is_some() { ErrorCode::LimitExceeded } else { ErrorCode::Denied };
        Err(Fail::Refused(GuestError::new(code, "refused")))
    }

    async fn look(&mut self, path: &str) -> Result<Look> {
        let look = |disk: &mut Self| {
            let has_folder = disk.files.get(path::folder(path)).is_some_and(Option::is_none);
            Outcome::Look(Look { at: Some(1_000), status: disk.status(path), has_folder })
        };
        let Outcome::Look(look) = self.step(format!("look {path}"), look) else { panic!("another step") };
        Ok(look)
    }

    async fn list(&mut self, path: &str) -> Result<Vec<Entry>> {
        let list = |disk: &mut Self| {
            let lead = path::lead(path);
            let entry = |(name, kind)| {
                let status = disk.status(&format!("{lead}{name}")).ok();
                Entry { name, kind, status }
            };
            Outcome::List(Ok(disk.children(path).into_iter().map(entry).collect()))
        };
        let Outcome::List(list) = self.step(format!("list {path}"), list) else { panic!("another step") };
        Ok(list?)
    }

    async fn read(&mut self, path: &str, offset: u64, len: u64) -> Result<Vec<u8>> {
        let read = |disk: &mut Self| {
            let content = disk.files.get(path).cloned().flatten();
            let part = |content: Vec<u8>| content.into_iter().skip(offset as usize).take(len as usize).collect();
            Outcome::Read(content.map(part).ok_or(Errno::NoEntry))
        };
        let Outcome::Read(read) = self.step(format!("read {offset} {len} {path}"), read) else {
            panic!("another step")
        };
        Ok(read?)
    }

    async fn save(&mut self, path: &str, save: Save) -> Result<Option<Status>> {
        let how = match save.how {
            How::Whole => "write",
            How::Append(_) => "append",
            How::Patch => "patch",
        };
        let digest: u64 = save
            .parts
            .iter()
            .flat_map(|part| part.bytes())
            .fold(save.size, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
        let step = format!("{how} {digest:x} {path}");
        let Outcome::Save(saved) = self.step(step, |disk| Outcome::Save(disk.write(path, &save))) else {
            panic!("another step")
        };
        Ok(saved?)
    }

    async fn create(&mut self, path: &str, nth: u64) -> Result<Option<Status>> {
        let create = |disk: &mut Self| {
            if disk.files.contains_key(path) {
                return Outcome::Save(Err(Errno::Exist));
            }
            disk.files.insert(path.to_owned(), Some(Vec::new()));
            Outcome::Save(disk.status(path).map(Some))
        };
        let Outcome::Save(created) = self.step(format!("create {nth} {path}"), create) else { panic!("another step") };
        Ok(created?)
    }

    async fn make_folder(&mut self, path: &str) -> Result<()> {
        let make = |disk: &mut Self| {
            disk.files.insert(path.to_owned(), None);
            Outcome::Done(Ok(()))
        };
        let Outcome::Done(made) = self.step(format!("make-folder {path}"), make) else { panic!("another step") };
        Ok(made?)
    }

    async fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let rename = |disk: &mut Self| Outcome::Done(disk.move_all(from, to));
        let Outcome::Done(renamed) = self.step(format!("rename {from} {to}"), rename) else { panic!("another step") };
        Ok(renamed?)
    }

    async fn remove(&mut self, path: &str, kind: Kind) -> Result<()> {
        let remove = |disk: &mut Self| {
            let removed = match (disk.files.get(path), kind) {
                (None, _) => Err(Errno::NoEntry),
                (Some(None), Kind::File) => Err(Errno::IsDirectory),
                (Some(Some(_)), Kind::Folder) => Err(Errno::NotDirectory),
                (Some(None), _) if !disk.children(path).is_empty() => Err(Errno::NotEmpty),
                _ => Ok(()),
            };
            if removed.is_ok() {
                disk.files.remove(path);
            }
            Outcome::Done(removed)
        };
        let Outcome::Done(removed) = self.step(format!("remove {path}"), remove) else { panic!("another step") };
        Ok(removed?)
    }

    async fn set_times(&mut self, path: &str, _: Times) -> Result<Status> {
        let set = |disk: &mut Self| Outcome::Save(disk.status(path).map(Some));
        let Outcome::Save(status) = self.step(format!("set-times {path}"), set) else { panic!("another step") };
        Ok(status?.unwrap())
    }
}
