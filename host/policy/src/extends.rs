//! `extends`: what a policy takes over from others, and that it allows nothing which one of them denies.
//!
//! A key or section that the file gives replaces the inherited one; `narrower` and `cover` check that it became no wider. With
//! several bases it inherits what each of them grants.

mod cover;
mod narrower;

pub(super) use cover::{Cover, Grant, cover};
pub(super) use narrower::{Covers, check};

use super::check::policy;
use super::file::{Format, Source};
use super::{AskRule, CapabilityGrant, ClockGrant, Error, Policy, RandomGrant};
use everstep_words::regular_file;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Longest chain of policies that extend each other.
const DEEPEST: usize = 8;

/// A policy, and where its rules stand.
pub(super) struct Checked {
    pub(super) policy: Policy,
    pub(super) places: Places,
    file: PathBuf,
    /// The files of all policies that it extends.
    pub(super) files: Vec<PathBuf>,
}

/// File and line of each rule and each key, by `limits.KEY`, `env.NAME`, `clock`, `random`, `network.block`, `network.allow`,
/// `functions.NAME`, `audit`, and the ids of rules.
#[derive(Clone, Default)]
pub(super) struct Places(BTreeMap<String, (PathBuf, usize)>);

/// Reads a policy file and all that it extends.
pub(super) fn load(file: &Path) -> Result<Policy, Error> {
    Ok(read(file, &mut Vec::new())?.policy)
}

/// Checks the text of a policy and reads all that it extends.
pub(super) fn parse(text: &str, file: &Path, format: Format) -> Result<Policy, Error> {
    Ok(parsed(text, file, format, &mut vec![real(file)])?.policy)
}

fn read(file: &Path, open: &mut Vec<PathBuf>) -> Result<Checked, Error> {
    let text = regular_file::read_text(file, regular_file::POLICY)
        .map_err(|source| Error::Read { path: file.to_owned(), source })?;
    open.push(real(file));
    let checked = parsed(&text, file, Format::of(file), open);
    open.pop();
    checked
}

/// `open` holds the policies that are being read because of each other.
fn parsed(text: &str, file: &Path, format: Format, open: &mut Vec<PathBuf>) -> Result<Checked, Error> {
    let source = Source::new(text, file);
    let mut shape = source.read(format)?;
    let mut bases = Vec::new();
    for base in std::mem::take(&mut shape.extends) {
        let path = file.parent().unwrap_or(Path::new("")).join(base.get_ref());
        let refused = |what: String, remedy| Err(source.invalid(&base.span(), what, remedy));
        if base.get_ref().is_empty() || base.get_ref().contains('\0') {
            return refused("extends names no file".to_owned(), "write a path relative to this file");
        }
        if open.contains(&real(&path)) {
            return refused(
                format!("{} extends this file in turn", everstep_words::visible::path(path)),
                "remove one of the two",
            );
        }
        if open.len() >= DEEPEST {
            let what = format!("more than {DEEPEST} policies extend each other");
            return refused(what, "write what this one needs into fewer files");
        }
        bases.push(read(&path, open)?);
    }
    policy(shape, &source, &bases)
}

fn real(file: &Path) -> PathBuf {
    file.canonicalize().or_else(|_| std::path::absolute(file)).unwrap_or_else(|_| file.to_owned())
}

/// What a file that says nothing takes over from its bases; without bases, nothing is granted.
pub(super) fn inherited(bases: &[Checked]) -> Policy {
    let Some((first, others)) = bases.split_first() else {
        return Policy { capabilities: Vec::new(), ..Policy::none() };
    };
    let mut policy = first.policy.clone();
    for other in others.iter().map(|base| &base.policy) {
        policy.limits = policy.limits.narrowed(&other.limits);
        policy.env.retain(|name, value| other.env.get(name) == Some(value));
        policy.clock = narrower_clock(&policy.clock, &other.clock);
        policy.random = if other.random == RandomGrant::Deny { RandomGrant::Deny } else { policy.random };
        policy.capabilities = policy.capabilities.iter().filter_map(|grant| both(grant, &other.capabilities)).collect();
        policy.files = cover::cover(&policy.files, &other.files).kept;
        policy.fetch = cover::cover(&policy.fetch, &other.fetch).kept.into();
        policy.websocket = cover::cover(&policy.websocket, &other.websocket).kept.into();
        policy
            .network
            .block
            .extend(other.network.block.iter().filter(|range| !first.policy.network.block.contains(range)));
        policy.network.allow.retain(|range| other.network.allow.iter().any(|allowed| allowed.covers(range)));
        let new = other.asks.iter().filter(|ask| !first.policy.asks.contains(ask));
        policy.asks = policy.asks.iter().chain(new).cloned().collect();
        policy.audit = policy.audit.or_else(|| other.audit.clone());
    }
    if !others.is_empty() {
        // What one base asks about another may deny.
        policy.asks = policy.asks.iter().map(|ask| AskRule { sufficient: false, ..ask.clone() }).collect();
    }
    policy
}

fn narrower_clock(one: &ClockGrant, other: &ClockGrant) -> ClockGrant {
    match (one, other) {
        (one, other) if one == other => one.clone(),
        (ClockGrant::Recorded, frozen @ ClockGrant::Frozen { .. })
        | (frozen @ ClockGrant::Frozen { .. }, ClockGrant::Recorded) => frozen.clone(),
        _ => ClockGrant::Deny,
    }
}

fn both(grant: &CapabilityGrant, others: &[CapabilityGrant]) -> Option<CapabilityGrant> {
    let other = others.iter().find(|other| other.name() == grant.name())?;
    let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
    Some(CapabilityGrant {
        max_calls: least(grant.max_calls, other.max_calls),
        timeout: grant.timeout.into_iter().chain(other.timeout).min(),
        ..grant.clone()
    })
}

impl Checked {
    pub(super) fn new(policy: Policy, places: Places, source: &Source<'_>, bases: &[Self]) -> Self {
        let files = bases.iter().flat_map(|base| base.files.iter().chain([&base.file]).cloned()).collect();
        Self { policy, places, file: source.path(), files }
    }

    /// Refuses an id that an inherited rule has as well.
    pub(super) fn check_ids(&self, source: &Source<'_>) -> Result<(), Error> {
        let policy = &self.policy;
        let ids = policy.files.iter().map(|grant| &grant.id).chain(policy.fetch.iter().map(|grant| &grant.id));
        let ids =
            ids.chain(policy.websocket.iter().map(|grant| &grant.id)).chain(policy.asks.iter().map(|ask| &ask.rule));
        let mut seen = std::collections::BTreeSet::new();
        for id in ids {
            if !seen.insert(id) {
                let (file, line) = self.places.of_key(id).unwrap_or((source.path(), 1));
                let what = format!("{id:?} is the id of two rules, one of them inherited");
                let remedy = "give one of them another id; an [[ask]] rule without one is counted among all";
                return Err(Error::Invalid { file, line, what, remedy });
            }
        }
        Ok(())
    }

    /// A key or rule that allows more than a base does.
    pub(super) fn widening(&self, key: &str, base: &Self, base_key: &str, what: String) -> Error {
        let (file, line) = self.places.of_key(key).unwrap_or((self.file.clone(), 1));
        let (base, base_line) = base.places.of_key(base_key).unwrap_or((base.file.clone(), 1));
        Error::Widening { file, line, base, base_line, what }
    }
}

impl Places {
    pub(super) fn of(bases: &[Checked]) -> Self {
        let places = bases.iter().rev().flat_map(|base| base.places.0.clone());
        Self(places.collect())
    }

    pub(super) fn put(&mut self, key: String, source: &Source<'_>, span: &Range<usize>) {
        self.0.insert(key, (source.path(), source.line(span)));
    }

    /// The line of a key, if it stands in this file.
    pub(super) fn at(&self, source: &Source<'_>, key: &str) -> Option<usize> {
        self.0.get(key).filter(|(file, _)| *file == source.file).map(|(_, line)| *line)
    }

    fn of_key(&self, key: &str) -> Option<(PathBuf, usize)> {
        self.0.get(key).cloned()
    }
}
