//! The words that every floor shares: ids, what a call of a guest comes back with, and text that people can see.
//!
//! Nothing here knows of policies, stores, guests or effects.

pub mod guest_error;
pub mod id;
pub mod regular_file;
pub mod visible;
