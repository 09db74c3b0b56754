//! Files below the folders that the policy grants.
//!
//! `adapter` is the interface `everstep:host/files`, over the bridge. `effect` is what it performs; `folder` walks to an entry without
//! following links; `links` counts the names of a file; `temporary` names and locks the file that a write fills before it replaces the
//! target. `overlay` holds a run's changes in memory under overlay grants, and `merged` is a folder under those changes. Except for the
//! adapter, they know neither WIT nor decisions nor the journal.

mod adapter;
mod effect;
mod folder;
mod links;
mod merged;
mod overlay;
mod temporary;

pub(crate) use effect::open;
pub use effect::{Entry, FileKind, Folders};
