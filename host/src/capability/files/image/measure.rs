//! What the images of a policy would be if an execution pinned them now.

use super::super::adapter::image_grants_of;
use super::super::effect::open_folder;
use super::known::Digests;
use super::open::found;
use crate::id::Digest;
use crate::policy::Policy;
use std::path::{Path, PathBuf};

/// An image as its folder is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The id of its rule.
    pub rule: String,
    /// Its files.
    pub files: u64,
    /// The bytes of all of them.
    pub bytes: u64,
    /// The digest of its tree, by which an execution pins it.
    pub digest: Digest,
}

/// Looks at the folder of each image of a policy, in its order; digests that `cache` holds are not made again, and new ones are noted there.
/// What cannot be pinned is the id of a rule and why. May block.
pub fn measure(policy: &Policy, cache: Option<PathBuf>) -> Vec<Result<Measured, (String, String)>> {
    let digests = Digests::new(cache);
    let measured = |rule: String, guest: &str, host: &Path| {
        let folder = open_folder(&rule, host).map_err(|error| error.to_string());
        match folder.and_then(|folder| found(&folder, guest, &digests)) {
            Ok(manifest) => {
                let (files, bytes) =
                    manifest.files().fold((0, 0), |(files, bytes), (_, entry)| (files + 1, bytes + entry.size));
                Ok(Measured { rule, files, bytes, digest: manifest.tree })
            }
            Err(why) => Err((rule, why)),
        }
    };
    image_grants_of(policy).map(|grant| measured(grant.rule, &grant.guest, &grant.host)).collect()
}
