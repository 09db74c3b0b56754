//! Types that all crates share: ids, the error of a guest's call, and text made visible for people.
//!
//! Nothing here knows of policies, stores, guests or effects.

pub mod guest_error;
pub mod id;
pub mod regular_file;
pub mod visible;
