//! The file system of a WASI guest, in the host's memory: names, handles and pages over the folders that the policy grants.
//!
//! It is a function of the guest's calls and of recorded steps, so a replay rebuilds it. `disk` is what lies below: those steps. `content` is
//! one file: pages, and the parts that are still on disk. `tree` is the state: files and folders by path, and their handles. `open`, `data`,
//! `names` and `times` are the guest's calls; `memory` keeps all of it within the guest's limit; `save` is how writes leave: one step per
//! file, when its last handle is dropped, when it is synced, and at the end. `path` confines a path to a folder.
//!
//! Neither WASI nor the journal is known here; `engine::wasi::files` is the interface, `capability::files::disk` the steps.

mod content;
mod data;
mod disk;
mod errno;
mod memory;
mod names;
mod open;
mod path;
mod save;
#[cfg(test)]
mod tests;
mod times;
mod tree;

pub(crate) use content::PAGE;
pub(crate) use disk::{Disk, Entry, How, Kind, Look, Root, Save, Status, Times};
pub(crate) use errno::{Errno, Fail, Result};
pub(crate) use open::{Flags, Open};
pub(crate) use tree::{Handle, Vfs};
