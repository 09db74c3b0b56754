//! A policy ready for use: its secrets read, its audit log and the resources of its capabilities open.

use crate::guest_error::{ErrorCode, GuestError};
use crate::id::Digest;
use crate::network;
use crate::policy::{self, ClockGrant, Policy, RandomGrant, Usage, Verdict, audit};
use crate::secrets::Secrets;
use bytes::Bytes;
use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// The state that the executions under one policy share.
pub(crate) struct Grants {
    pub(crate) policy: Policy,
    /// The policy as the store keeps it.
    pub(crate) canonical: Bytes,
    /// The SHA-256 of that.
    pub(crate) digest: Digest,
    pub(crate) audit: Option<Arc<audit::Log>>,
    pub(crate) secrets: Secrets,
    /// The policy with the folders of this machine, where they differ from those that it names.
    placed: Option<Policy>,
    opened: Opened,
    /// Whether all folders were opened and all secrets read, because the ceiling lent them.
    is_whole: bool,
    ceiling: Ceiling,
}

/// The resources that capabilities have opened for a policy, such as folders and clients, each under its own type.
#[derive(Default)]
pub(crate) struct Opened(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

/// Opens the resources of a capability for a policy, as far as the ceiling lends them, if there is one; nothing if the policy does not grant
/// the capability.
pub(crate) type Opener = fn(&Policy, Option<&Policy>, &network::Options, &mut Opened) -> Result<(), policy::Error>;

/// The policy that no execution of a host exceeds, whatever it was started with.
#[derive(Clone, Default)]
struct Ceiling(Arc<RwLock<Option<Arc<Policy>>>>);

/// The policies in use, each opened once; an audit log is shared by all policies that name it.
pub(crate) struct GrantsCache {
    /// Folders of the host that no guest may write to: the store, and the cache of compiled code.
    private: Vec<PathBuf>,
    /// Where folders of `[[files]]` rules lie on this machine, by the ids of the rules.
    folders: BTreeMap<String, PathBuf>,
    network: network::Options,
    openers: &'static [Opener],
    ceiling: Ceiling,
    open: Mutex<Open>,
    /// The policies of the last started executions, latest first.
    recent: Mutex<VecDeque<Recent>>,
}

/// A policy that an execution was started with.
struct Recent {
    policy: Policy,
    /// The function, if the policy has a section for it.
    function: Option<String>,
    grants: Arc<Grants>,
}

/// The number of policies that are recognised without being serialised and hashed.
const MAX_RECENT: usize = 8;

/// The number of policies kept open while they are not in use.
const MAX_IDLE: usize = 64;

#[derive(Default)]
struct Open {
    grants: HashMap<Digest, Arc<Grants>>,
    logs: HashMap<PathBuf, Arc<audit::Log>>,
}

impl Grants {
    /// The limits of a policy, a clock and randomness, and nothing else: for a component that lists its functions. An interpreter
    /// draws its hash seed when it starts; nothing of that is kept.
    pub(crate) fn for_description(limits: policy::Limits) -> Self {
        let (clock, random) = (ClockGrant::Recorded, RandomGrant::Seeded);
        Self::unopened(Policy { limits, clock, random, ..Policy::default() })
    }

    /// Limits, and random numbers of a seed: for what a component makes of a file, which is to follow from that file alone.
    pub(crate) fn for_preparing(limits: policy::Limits) -> Self {
        Self::unopened(Policy { limits, random: RandomGrant::Seeded, ..Policy::default() })
    }

    /// The policy with the folders of this machine.
    pub(crate) fn here(&self) -> &Policy {
        self.placed.as_ref().unwrap_or(&self.policy)
    }

    fn unopened(policy: Policy) -> Self {
        let (secrets, opened, ceiling) = (Secrets::default(), Opened::default(), Ceiling::default());
        let canonical = Bytes::from(policy.canonical());
        let digest = Digest::of(&canonical);
        Self { canonical, digest, policy, audit: None, secrets, placed: None, opened, is_whole: true, ceiling }
    }

    /// The resource that a capability has opened for this policy.
    ///
    /// # Errors
    /// A denial, because the policy does not grant that capability.
    pub(crate) fn opened<T: Any>(&self, what: &str) -> Result<&T, GuestError> {
        let opened = self.opened.0.get(&TypeId::of::<T>()).and_then(|opened| opened.downcast_ref());
        opened.ok_or_else(|| GuestError::new(ErrorCode::Denied, format!("the policy grants no {what}")))
    }

    /// Checks a call against the host's ceiling. `approved` says whether a person has approved the call.
    ///
    /// # Errors
    /// A denial for the guest.
    pub(crate) fn ceiling(&self, call: &policy::Call<'_>, approved: bool) -> Result<(), GuestError> {
        self.ceiling.check(call, approved, self.here())
    }

    /// The limits that an execution shares with its lineage, narrowed by the host's ceiling.
    pub(crate) fn lineage(&self) -> policy::Lineage {
        let (own, ceiling) = (self.policy.limits.shared(), self.ceiling.policy());
        match ceiling {
            None => own,
            Some(ceiling) => own.narrowed(&ceiling.limits.shared()),
        }
    }

    /// Checks that the ceiling of the host lends the policy its audit log.
    ///
    /// # Errors
    /// It does not, any more.
    pub(crate) fn check_log(&self) -> Result<(), policy::Error> {
        self.ceiling.check_log(&self.policy)
    }
}

impl Opened {
    /// Keeps a resource that a capability has opened.
    pub(crate) fn insert<T: Any + Send + Sync>(&mut self, opened: T) {
        self.0.insert(TypeId::of::<T>(), Box::new(opened));
    }
}

impl Ceiling {
    fn set(&self, policy: Option<Policy>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = policy.map(Arc::new);
    }

    fn policy(&self) -> Option<Arc<Policy>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Checks that the audit log of a policy is one that the ceiling lends.
    fn check_log(&self, ours: &Policy) -> Result<(), policy::Error> {
        let Some(ceiling) = self.policy() else { return Ok(()) };
        let Some(path) = ours.borrowed_log(&ceiling).map(Path::to_owned) else { return Ok(()) };
        Err(policy::Error::LogNotLent { policy: ours.name.clone(), path, ceiling: ceiling.name.clone() })
    }

    /// Checks a call that `ours` allows.
    fn check(&self, call: &policy::Call<'_>, approved: bool, ours: &Policy) -> Result<(), GuestError> {
        let Some(ceiling) = self.policy() else { return Ok(()) };
        if call.is_part() {
            return Ok(());
        }
        let above = |why: &str| {
            let message = format!("{why}; the policy {:?} of this host is the ceiling", ceiling.name);
            Err(GuestError::new(ErrorCode::Denied, message))
        };
        let lent = || call.borrows(ours, &ceiling).map_or(Ok(()), |what| above(&what));
        match ceiling.decide(call, &Usage::default(), 0) {
            Verdict::Allow { .. } => lent(),
            Verdict::Ask { .. } if approved => lent(),
            Verdict::Ask { rule, .. } => above(&format!("rule \"{rule}\" asks for an approval")),
            Verdict::Deny { error, .. } => above(&error.message),
        }
    }
}

impl GrantsCache {
    /// A cache that refuses policies under which a guest could write to one of the `private` folders.
    pub(crate) fn new(private: Vec<PathBuf>, network: network::Options, openers: &'static [Opener]) -> Self {
        let (ceiling, open, recent) = (Ceiling::default(), Mutex::default(), Mutex::default());
        let network = network.unbounded();
        Self { private, folders: BTreeMap::new(), network, openers, ceiling, open, recent }
    }

    /// The same, where folders of `[[files]]` rules lie elsewhere on this machine, by the ids of the rules.
    pub(crate) fn with_folders(self, folders: BTreeMap<String, PathBuf>) -> Self {
        Self { folders, ..self }
    }

    /// Sets, replaces or removes the policy that no execution in this host exceeds. Every decision sees either the old or
    /// the new one.
    pub(crate) fn set_ceiling(&self, policy: Option<Policy>) {
        self.network.bound(policy.as_ref().map(|policy| policy.network.clone()));
        self.ceiling.set(policy.map(|policy| policy.with_folders(&self.folders).into_owned()));
        // What the ceiling before did not lend is opened anew.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).retain(|recent| recent.grants.is_whole);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).grants.retain(|_, grants| grants.is_whole);
    }

    /// A policy for a replay: all effects are recorded, so no folder and no log is opened.
    pub(crate) fn for_replay(&self, policy: Policy) -> Grants {
        let placed = match policy.with_folders(&self.folders) {
            Cow::Borrowed(_) => None,
            Cow::Owned(placed) => Some(placed),
        };
        Grants { placed, ..Grants::unopened(policy) }
    }

    /// The policy with that digest, if it is open; the ceiling may not lend it its audit log any more.
    pub(crate) fn known(&self, digest: &Digest) -> Option<Arc<Grants>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).grants.get(digest).cloned()
    }

    /// Checks that the ceiling of the host lends a policy its audit log.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn check_log(&self, policy: &Policy) -> Result<(), policy::Error> {
        self.ceiling.check_log(policy)
    }

    /// Opens the part of a policy that applies to a function. A policy is serialised and hashed once for each function that it has a
    /// section for.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn open_for(&self, policy: &Policy, function: &str) -> Result<Arc<Grants>, policy::Error> {
        if let Some(grants) = self.recognised(policy, function) {
            self.check_log(policy)?;
            return Ok(grants);
        }
        let grants = self.open(&policy.for_function(function))?;
        let function = policy.functions.contains_key(function).then(|| function.to_owned());
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(MAX_RECENT - 1);
        recent.push_front(Recent { policy: policy.clone(), function, grants: Arc::clone(&grants) });
        Ok(grants)
    }

    /// The digest of the part of a policy that applies to a function.
    pub(crate) fn digest_for(&self, policy: &Policy, function: &str) -> Digest {
        let recognised = self.recognised(policy, function);
        recognised.map_or_else(|| policy.for_function(function).digest(), |grants| grants.digest)
    }

    fn recognised(&self, policy: &Policy, function: &str) -> Option<Arc<Grants>> {
        let function = policy.functions.contains_key(function).then_some(function);
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let found = recent.iter().find(|one| one.function.as_deref() == function && one.policy.is_same(policy))?;
        Some(Arc::clone(&found.grants))
    }

    /// Opens the policy with its log and the resources of its capabilities.
    ///
    /// # Errors
    /// A path that is not UTF-8, a folder or a log that cannot be opened, a log that the ceiling does not lend, or a writable folder that
    /// overlaps the host's private ones.
    pub(crate) fn open(&self, policy: &Policy) -> Result<Arc<Grants>, policy::Error> {
        // Before the digest is looked up: it does not distinguish paths that are not UTF-8.
        policy.check_paths()?;
        self.check_log(policy)?;
        let canonical = Bytes::from(policy.canonical());
        let digest = Digest::of(&canonical);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(grants) = open.grants.get(&digest) {
            return Ok(Arc::clone(grants));
        }
        let here = policy.with_folders(&self.folders);
        if let Some((rule, path)) = self.private.iter().find_map(|path| Some((here.writable_around(path)?, path))) {
            return Err(policy::Error::HostFolder { rule: rule.to_owned(), path: path.clone() });
        }
        let (mut opened, ceiling) = (Opened::default(), self.ceiling.policy());
        let ceiling = ceiling.as_deref();
        for opener in self.openers {
            opener(&here, ceiling, &self.network, &mut opened)?;
        }
        let has_folders = ceiling.is_none_or(|ceiling| here.files.iter().all(|grant| ceiling.lends_folder(grant)));
        let audit = policy.audit.as_ref().map(|grant| open.log(grant)).transpose()?;
        let placed = match here {
            Cow::Borrowed(_) => None,
            Cow::Owned(placed) => Some(placed),
        };
        let secrets = Secrets::read(policy, ceiling)?;
        let is_whole = has_folders && secrets.withheld().is_empty();
        let (policy, ceiling) = (policy.clone(), self.ceiling.clone());
        let grants = Arc::new(Grants { policy, canonical, digest, audit, secrets, placed, opened, is_whole, ceiling });
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
            keep: false,
        };
        let files = Policy { files: vec![grant], ..Policy::none() };
        let audit = Policy { audit: Some(policy::AuditGrant { file: odd.join("log") }), ..Policy::none() };
        let cache = GrantsCache::new(Vec::new(), network::Options::default(), &[]);
        for (policy, rule) in [(files, "the [[files]] rule \"data\""), (audit, "[audit]")] {
            let message = cache.open(&policy).map(drop).unwrap_err().to_string();
            assert!(message.contains(&format!("of {rule} is not UTF-8")), "{message}");
        }
    }

    #[test]
    fn a_policy_is_known_again_by_all_that_its_digest_tells_apart() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let parse = |rest: &str| {
            let text = format!("version = 1\nname = \"p\"\n{rest}[[capability]]\nname = \"print\"\n");
            Policy::parse(&text, &folder.path().join("policy.toml")).unwrap()
        };
        let plain = parse("");
        let sections = parse("[functions.a]\ncapability = []\n[functions.b.limits]\ncpu = \"1s\"\n");
        let reads = |host: &str| {
            let (id, guest, host) = ("data".to_owned(), "/data".to_owned(), folder.path().join(host));
            let access = Access::Read;
            let grant = FilesGrant { id, guest, host, access, max_file: 1, max_written: 0, max_files: 0, keep: false };
            Policy { files: vec![grant], ..plain.clone() }
        };
        // One folder, and to Rust one path.
        let (once, twice) = (reads("data"), reads("./data"));
        assert_eq!(once, twice);
        assert_ne!(once.digest(), twice.digest());
        let cache = GrantsCache::new(Vec::new(), network::Options::default(), &[]);
        for _ in 0..3 {
            for policy in [&plain, &sections, &once, &twice] {
                for function in ["a", "b", "c"] {
                    let own = policy.for_function(function);
                    assert_eq!(cache.digest_for(policy, function), own.digest());
                    let grants = cache.open_for(policy, function).unwrap();
                    assert_eq!((grants.digest, &grants.policy), (own.digest(), &*own));
                    assert!(Arc::ptr_eq(&grants, &cache.open_for(&policy.clone(), function).unwrap()));
                    assert!(cache.recent.lock().unwrap().len() <= MAX_RECENT);
                }
            }
        }
    }
}
