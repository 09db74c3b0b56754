//! What the fuzz targets share: in [`checks`], what holds of the modules under test whatever the input is.
//!
//! The journal is compiled from its files: SQLite and an executor, which its crate has beside it, would be compiled once more, for
//! coverage, and take longer than all targets run.

pub mod journal;

/// One check for each target. A panic is a finding.
pub mod checks {
    mod journal;
    mod policy;
    mod url;

    pub use journal::journal;
    pub use policy::policy;
    pub use url::url;
}
