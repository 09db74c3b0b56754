//! The folders above those of the grants: `/`, from which every path of a guest leads, and what lies between. They hold the names that lead to
//! grants and nothing else, follow from the policy, and take no step to look at. To change them, and any other path outside of the grants, is
//! denied, on record.

use crate::policy::Policy;
use crate::vfs::{Entry, Errno, Kind, Look, Root, Status};

/// What there is at the path of such a folder, or directly in one. `None` if it is another path.
pub(super) fn look(policy: &Policy, path: &str) -> Option<Look> {
    let found = |status| Some(Look { at: None, status, has_folder: true });
    if entries(policy, path).is_some() {
        return found(Ok(FOLDER));
    }
    let (folder, _) = path.rsplit_once('/')?;
    let folder = if folder.is_empty() { "/" } else { folder };
    let is_outside = policy.resolve(path).is_none() && entries(policy, folder).is_some();
    if is_outside { found(Err(Errno::NoEntry)) } else { None }
}

/// A folder of which nothing else is known.
const FOLDER: Status = Status { kind: Kind::Folder, size: 0, accessed: None, modified: None, changed: None };

/// The entries of such a folder, in the byte order of their names. `None` if the path is none.
pub(super) fn entries(policy: &Policy, path: &str) -> Option<Vec<Entry>> {
    let entry = |name: &str| Entry { name: name.to_owned(), kind: Kind::Folder, status: None };
    Some(policy.leading(path)?.into_iter().map(entry).collect())
}

/// The root of all that no grant covers.
pub(super) fn root() -> Root {
    Root { guest: "/".to_owned(), is_writable: false, in_memory: false, max_file: 0 }
}

#[cfg(test)]
mod tests;
