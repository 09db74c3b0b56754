//! The folders above those of the grants: `/`, from which every path of a guest leads, and what lies between. They hold the names that lead to
//! grants and nothing else, follow from the policy, and take no step to look at. To change them, and any other path outside of the grants, is
//! denied, on record.

use crate::policy::{Policy, path};
use crate::vfs::{Entry, Errno, Kind, Look, Root, Status};
use std::collections::BTreeSet;

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
    if policy.resolve(path).is_some() {
        return None;
    }
    let below = policy.files.iter().filter_map(|grant| path::below(path, &grant.guest));
    let names: BTreeSet<&str> = below.filter_map(|rest| rest.split('/').next()).collect();
    let is_above = path == "/" || !names.is_empty();
    let entry = |name: &str| Entry { name: name.to_owned(), kind: Kind::Folder, status: None };
    is_above.then(|| names.into_iter().map(entry).collect())
}

/// The root of all that no grant covers.
pub(super) fn root() -> Root {
    Root { guest: "/".to_owned(), is_writable: false, in_memory: false, max_file: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_above_a_grant_leads_to_it_and_to_nothing_else() {
        let file = |guest: &str| {
            format!(
                "[[files]]\nid = \"r{}\"\nguest = \"{guest}\"\naccess = \"scratch\"\nmax_file = \"1KiB\"\nmax_written = \"1KiB\"\n",
                guest.len()
            )
        };
        let policy = |guests: &[&str]| {
            let text: String = guests.iter().map(|guest| file(guest)).collect();
            Policy::parse(&format!("version = 1\n{text}"), std::path::Path::new("p")).unwrap()
        };
        let names = |policy: &Policy, path: &str| {
            entries(policy, path).map(|entries| entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>())
        };
        let two = policy(&["/a/b/c", "/a/bcdef", "/x"]);
        for (path, expected) in [
            ("/", Some(vec!["a", "x"])),
            ("/a", Some(vec!["b", "bcdef"])),
            ("/a/b", Some(vec!["c"])),
            ("/a/b/c", None),
            ("/a/b/c/d", None),
            ("/x", None),
            ("/a/bc", None),
            ("/ax", None),
            ("/etc", None),
        ] {
            let expected = expected.map(|names| names.into_iter().map(str::to_owned).collect());
            assert_eq!(names(&two, path), expected, "{path}");
        }
        let looked = |policy: &Policy, path: &str| look(policy, path).map(|look| look.status.map(|status| status.kind));
        for path in ["/", "/a", "/a/b"] {
            assert_eq!(looked(&two, path), Some(Ok(Kind::Folder)), "{path}");
        }
        for path in ["/y", "/<string>", "/a/bc", "/a/b/d"] {
            assert_eq!(looked(&two, path), Some(Err(Errno::NoEntry)), "{path}");
        }
        for path in ["/x", "/x/y", "/a/b/c", "/etc/passwd", "/a/bc/d"] {
            assert_eq!(looked(&two, path), None, "{path}");
        }
        assert_eq!(names(&Policy::none(), "/"), Some(vec![]));
        assert_eq!(names(&policy(&["/"]), "/"), None);
    }
}
