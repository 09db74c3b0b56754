//! Types that all crates share: ids, the error of a guest's call, text made visible for people, trace contexts, and the names of what is
//! traced and counted.
//!
//! Nothing here knows of policies, stores, guests or effects.

pub mod guest_error;
pub mod id;
pub mod regular_file;
pub mod telemetry;
pub mod trace;
pub mod visible;
