//! The store that a command works on.

use super::{Failure, text};
use everstep::{Builder, Everstep, Policy, Reader};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `--store memory` or `--store DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    Folder(PathBuf),
}

/// `--store` of the commands that need a store which outlives its process.
#[derive(clap::Args)]
pub(crate) struct StoreArg {
    /// The folder of the store
    #[arg(long, value_name = "DIR", default_value = ".everstep")]
    pub(crate) store: Place,
}

/// `--cache` of the commands that load components.
#[derive(clap::Args)]
pub(crate) struct CacheArg {
    /// The folder for precompiled components [default: everstep/components in $XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
}

impl FromStr for Place {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "memory" { Self::Memory } else { Self::Folder(text.into()) })
    }
}

impl Place {
    /// A host over this store.
    pub(crate) fn host(&self) -> Builder {
        match self {
            Self::Memory => Everstep::local(),
            Self::Folder(dir) => Everstep::open(dir),
        }
    }

    /// The folder.
    ///
    /// # Errors
    /// Nothing is left of a memory store.
    pub(crate) fn folder(&self) -> Result<&Path, Failure> {
        match self {
            Self::Memory => Err(everstep::Error::NothingSurvives.into()),
            Self::Folder(dir) => Ok(dir),
        }
    }

    /// The folder of a store that must be there: opening it for writing would create it.
    ///
    /// # Errors
    /// There is no store.
    pub(crate) fn existing(&self) -> Result<&Path, Failure> {
        self.reader()?;
        self.folder()
    }

    /// The store, for reading, also while a host has it.
    pub(crate) fn reader(&self) -> Result<Reader, Failure> {
        Ok(Reader::open(self.folder()?)?)
    }

    /// The rest of a command line that is to work on this store.
    pub(crate) fn option(&self) -> String {
        match self {
            Self::Memory => " --store memory".to_owned(),
            Self::Folder(dir) if dir == Path::new(".everstep") => String::new(),
            Self::Folder(dir) => format!(" --store {}", text::shell(&dir.to_string_lossy())),
        }
    }

    /// A guest must not be able to write to what steers its host.
    pub(crate) fn check_out_of_reach(&self, policy: &Policy) -> Result<(), Failure> {
        let Self::Folder(dir) = self else { return Ok(()) };
        match policy.writable_at(dir) {
            None => Ok(()),
            Some(grant) => Err(Failure::usage(format!(
                "the store {} lies in the folder that the rule {:?} lets the guest write; put it elsewhere with --store",
                dir.display(),
                grant.id
            ))),
        }
    }
}

impl CacheArg {
    /// The folder; none when the user has no home.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let default = || {
            let home = || variable("HOME").map(|home| home.join(".cache"));
            variable("XDG_CACHE_HOME").or_else(home).map(|cache| cache.join("everstep/components"))
        };
        self.cache.clone().or_else(default)
    }
}
