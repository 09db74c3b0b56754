//! What the fuzz targets share: the modules under test, and in [`checks`] what holds of them whatever the input is.
//!
//! The modules are compiled from their files instead of through the `everstep` library. They use neither the engine nor a store,
//! which would be compiled once more, for coverage, and take longer than all targets run. It also makes the codec, which is
//! private to the library, reachable.
#![allow(dead_code, unused_imports, reason = "parts of the modules under test are used by the rest of the product only")]

#[path = "../../../host/src/guest_error.rs"]
pub mod guest_error;
#[path = "../../../host/src/id.rs"]
pub mod id;
pub mod journal;
pub mod network;
#[path = "../../../host/src/policy/mod.rs"]
pub mod policy;
#[path = "../../../host/src/regular_file.rs"]
pub mod regular_file;
#[path = "../../../host/src/visible.rs"]
pub mod visible;

/// One check for each target. A panic is a finding.
pub mod checks {
    mod journal;
    mod policy;
    mod url;

    pub use journal::journal;
    pub use policy::policy;
    pub use url::url;
}
