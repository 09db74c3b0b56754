//! Files below the folders that the policy grants.
//!
//! `adapter` is the interface `everstep:host/files` and walks the bridge. `effect` is what it performs; `folder` walks to an entry
//! without following links; `temporary` names and locks the file that a write fills before it replaces the target. These
//! three know neither WIT nor decisions nor the journal.

mod adapter;
mod effect;
mod folder;
mod temporary;

pub use effect::{Entry, FileKind, Folders};
