//! A policy made ready for use: its folders opened, its audit log at hand.

use crate::capability::files::Folders;
use crate::guest_error::GuestError;
use crate::id::Digest;
use crate::policy::{self, ClockGrant, Policy, RandomGrant, audit};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What the executions under one policy share.
pub(crate) struct Grants {
    pub(crate) policy: Policy,
    pub(crate) digest: Digest,
    pub(crate) folders: Folders,
    pub(crate) audit: Option<Arc<audit::Log>>,
}

/// The policies in use, each opened once; an audit log is shared by all policies that name it.
pub(crate) struct GrantsCache {
    /// Folders of the host that no guest may write to: the store, and the cache of compiled code.
    private: Vec<PathBuf>,
    open: Mutex<Open>,
}

/// Policies kept open although nobody uses them.
const MAX_IDLE: usize = 64;

#[derive(Default)]
struct Open {
    grants: HashMap<Digest, Arc<Grants>>,
    logs: HashMap<PathBuf, Arc<audit::Log>>,
}

impl Grants {
    /// The limits of a policy, a clock and randomness, and nothing else: for a component that names its functions. An interpreter
    /// draws its hash seed when it starts; nothing of that is kept.
    pub(crate) fn for_description(limits: policy::Limits) -> Self {
        let (clock, random) = (ClockGrant::Recorded, RandomGrant::Seeded);
        let policy = Policy { limits, clock, random, capabilities: Vec::new(), ..Policy::none() };
        Self { digest: policy.digest(), policy, folders: Folders::default(), audit: None }
    }

    /// A policy under which nothing is done, because everything is recorded: no folder and no log is opened.
    pub(crate) fn for_replay(policy: Policy) -> Self {
        Self { digest: policy.digest(), policy, folders: Folders::default(), audit: None }
    }

    /// What no rule can allow, as the disk shows it now: links and special files.
    ///
    /// # Errors
    /// A denial for the guest.
    pub(crate) fn floor(&self, call: &policy::Call<'_>) -> Result<(), GuestError> {
        let policy::Call::Files { operation, path, .. } = call else { return Ok(()) };
        match self.policy.resolve(path) {
            Some((grant, path)) => self.folders.floor(*operation, grant, path),
            None => Ok(()),
        }
    }
}

impl GrantsCache {
    /// A cache that refuses policies under which a guest could write to one of the folders `private`.
    pub(crate) fn new(private: Vec<PathBuf>) -> Self {
        Self { private, open: Mutex::default() }
    }

    /// The policy with that digest, if it is open.
    pub(crate) fn known(&self, digest: &Digest) -> Option<Arc<Grants>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).grants.get(digest).cloned()
    }

    /// The policy with its folders and log opened.
    ///
    /// # Errors
    /// A path that is not UTF-8, a folder or a log that cannot be opened, or a writable folder that reaches what is the host's own.
    pub(crate) fn open(&self, policy: &Policy) -> Result<Arc<Grants>, policy::Error> {
        // Before the digest is looked up: without paths it does not tell policies apart.
        policy.check_paths()?;
        let digest = policy.digest();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(grants) = open.grants.get(&digest) {
            return Ok(Arc::clone(grants));
        }
        if let Some((grant, path)) = self.private.iter().find_map(|path| Some((policy.writable_around(path)?, path))) {
            return Err(policy::Error::HostFolder { rule: grant.id.clone(), path: path.clone() });
        }
        let folders = Folders::open(&policy.files)?;
        let audit = policy.audit.as_ref().map(|grant| open.log(grant)).transpose()?;
        let grants = Arc::new(Grants { policy: policy.clone(), digest, folders, audit });
        if open.grants.len() >= MAX_IDLE {
            open.grants.retain(|_, grants| Arc::strong_count(grants) > 1);
            open.logs.retain(|_, log| Arc::strong_count(log) > 1);
        }
        open.grants.insert(digest, Arc::clone(&grants));
        Ok(grants)
    }
}

impl Open {
    fn log(&mut self, grant: &policy::AuditGrant) -> Result<Arc<audit::Log>, policy::Error> {
        if let Some(log) = self.logs.get(&grant.file) {
            return Ok(Arc::clone(log));
        }
        let log = Arc::new(audit::Log::open(&grant.file)?);
        self.logs.insert(grant.file.clone(), Arc::clone(&log));
        Ok(log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Access, FilesGrant};
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_policy_whose_paths_cannot_be_recorded_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join(OsStr::from_bytes(b"\xff"));
        std::fs::create_dir(&odd).unwrap();
        let (id, guest) = ("data".to_owned(), "/data".to_owned());
        let grant = FilesGrant {
            id,
            guest,
            host: odd.clone(),
            access: Access::Read,
            max_file: 1,
            max_written: 0,
            max_files: 0,
        };
        let files = Policy { files: vec![grant], ..Policy::none() };
        let audit = Policy { audit: Some(policy::AuditGrant { file: odd.join("log") }), ..Policy::none() };
        let cache = GrantsCache::new(Vec::new());
        for (policy, rule) in [(files, "the [[files]] rule \"data\""), (audit, "[audit]")] {
            let message = cache.open(&policy).map(drop).unwrap_err().to_string();
            assert!(message.contains(&format!("of {rule} is not UTF-8")), "{message}");
        }
    }
}
