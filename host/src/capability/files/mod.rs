//! Files below the folders that the policy grants.
//!
//! `adapter` is the interface `everstep:host/files`, over the bridge, and `disk` the same for the files of WASI guests, with `above` for the
//! folders that no grant is about and `refusals` for the reasons that WASI has no words for. `effect` is what they perform; `folder` walks to
//! an entry without following links; `links` counts the names of a file; `temporary` names and locks the file that a write fills before it
//! replaces the target. `overlay` holds a run's changes in memory under overlay grants and scratches, `merged` is a folder under those changes,
//! and `kept` is the same for WASI guests. `image` is a folder that is pinned, whose reads are no steps. Except for the first four, they know
//! neither WIT nor decisions nor the journal.

mod above;
mod adapter;
mod disk;
mod effect;
mod folder;
mod image;
mod kept;
mod links;
mod merged;
mod overlay;
mod refusals;
mod temporary;

pub(crate) use effect::open;
pub use effect::{Entry, FileKind, Folders};
pub(crate) use image::{Digests, Given, Images, Recorded, Unusable, kept_of, open as open_images, recorded};
pub use image::{Measured, measure};
