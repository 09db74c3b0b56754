//! The rules for guest paths, decided on their text alone.

use std::fmt;

/// Longest path, in bytes.
const LONGEST_PATH: usize = 4096;
/// Longest component, in bytes.
const LONGEST_NAME: usize = 255;

/// Most components: a write creates the missing folders, and each of them costs a sync.
const DEEPEST: usize = 128;

/// The reason that a path is refused regardless of the grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No file can have this path.
    Invalid(&'static str),
    /// There is a shorter way to write it.
    NotCanonical(&'static str),
}

/// Accepts absolute canonical paths.
pub fn check(path: &str) -> Result<(), Fault> {
    if path.len() > LONGEST_PATH {
        return Err(Fault::Invalid("it is longer than 4096 bytes"));
    }
    if path.chars().any(char::is_control) {
        return Err(Fault::Invalid("it has a control character"));
    }
    let Some(rest) = path.strip_prefix('/') else {
        return Err(Fault::NotCanonical("it does not start with \"/\""));
    };
    if rest.is_empty() {
        return Ok(());
    }
    rest.split('/').try_for_each(component)?;
    let deep = rest.split('/').count() > DEEPEST;
    if deep { Err(Fault::Invalid("it has more than 128 components")) } else { Ok(()) }
}

fn component(name: &str) -> Result<(), Fault> {
    match name {
        "" => Err(Fault::NotCanonical("it has an empty component")),
        "." => Err(Fault::NotCanonical("it has a \".\" component")),
        ".." => Err(Fault::NotCanonical("it has a \"..\" component")),
        _ if name.len() > LONGEST_NAME => Err(Fault::Invalid("a component is longer than 255 bytes")),
        _ if name.ends_with(['.', ' ']) => Err(Fault::Invalid("a component ends with a dot or a space")),
        _ => Ok(()),
    }
}

/// Whether a path of a guest can name an entry of a folder.
pub fn is_name(name: &str) -> bool {
    !name.contains('/') && !name.chars().any(char::is_control) && component(name).is_ok()
}

/// The rest of `path` below `root`; empty for the root itself. Both are canonical.
pub fn below<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(root.trim_end_matches('/'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// A canonical path and all folders above it except the root, outermost first.
pub(super) fn with_folders(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(end, _)| end).filter(|end| *end > 0);
    ends.chain((path.len() > 1).then_some(path.len())).map(|end| &path[..end])
}

/// How many leading components two canonical paths share.
pub(super) fn shared(a: &str, b: &str) -> usize {
    let parts = |path| str::split(path, '/').skip(1).filter(|part: &&str| !part.is_empty());
    parts(a).zip(parts(b)).take_while(|(a, b)| a == b).count()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => write!(f, "invalid path: {why}"),
            Self::NotCanonical(why) => write!(f, "path is not canonical: {why}"),
        }
    }
}
