//! `extends`: what a policy inherits from others, and the check that it allows nothing which one of them denies.
//!
//! A key or section in the file replaces the inherited one, and each section checks that it became no wider; `cover` compares lists
//! of rules. From several bases it inherits what all of them grant.

mod cover;

pub(super) use cover::{Bound, Cover, Grant, beyond, cover, ms, ms_text};

use super::Error;
use super::read::policy;
use super::section::{Policy, SECTIONS};
use super::source::{Format, Source};
use everstep_words::regular_file;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Longest chain of policies that extend each other.
const DEEPEST: usize = 8;

/// A policy, and the places of its rules.
pub(super) struct Checked {
    pub(super) policy: Policy,
    pub(super) places: Places,
    file: PathBuf,
    /// The files of all policies that it extends.
    pub(super) extended: Vec<PathBuf>,
}

/// File and line of each rule and each key, by `limits.KEY`, `env.NAME`, `clock`, `random`, `network.block`, `network.allow`,
/// `functions.NAME`, `audit`, and the ids of rules.
#[derive(Clone, Default)]
pub(super) struct Places(BTreeMap<String, (PathBuf, usize)>);

/// Reads a policy file and all policies that it extends.
pub(super) fn load(file: &Path) -> Result<Policy, Error> {
    Ok(read(file, &mut Vec::new())?.policy)
}

/// Checks the text of a policy and reads all policies that it extends.
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

/// Reads one policy; `open` lists the policies that are being read because of each other.
fn parsed(text: &str, file: &Path, format: Format, open: &mut Vec<PathBuf>) -> Result<Checked, Error> {
    let source = Source::new(text, file);
    let shape = source.read(format)?;
    let mut bases = Vec::new();
    for base in &shape.extends {
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
    policy(&shape, &source, &bases)
}

fn real(file: &Path) -> PathBuf {
    file.canonicalize().or_else(|_| std::path::absolute(file)).unwrap_or_else(|_| file.to_owned())
}

/// What a file inherits from its bases where it says nothing; without bases, nothing is granted.
pub(super) fn inherited(bases: &[Checked]) -> Policy {
    let Some((first, others)) = bases.split_first() else { return Policy::default() };
    let mut policy = first.policy.clone();
    for other in others {
        SECTIONS.iter().for_each(|section| section.meet(&mut policy, &first.policy, &other.policy));
    }
    policy
}

/// Compares a policy with one of its bases.
///
/// # Errors
/// [`Error::Widening`] for the first key or rule that allows more.
pub(super) fn check(ours: &Checked, base: &Checked) -> Result<Covers, Error> {
    let mut covers = Covers::default();
    SECTIONS.iter().try_for_each(|section| section.check_narrower(ours, base, &mut covers))?;
    Ok(covers)
}

/// For each rule except capabilities, the rule of the base that covers it.
#[derive(Default)]
pub(super) struct Covers(BTreeMap<String, String>);

impl Covers {
    /// The id of the rule of the base.
    pub(super) fn of(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    /// Notes that a rule is covered by one of the base.
    pub(super) fn note(&mut self, id: &str, base: &str) {
        self.0.insert(id.to_owned(), base.to_owned());
    }

    /// Takes the result of comparing the rules of a section.
    ///
    /// # Errors
    /// [`Error::Widening`] for the first rule that is not covered.
    pub(super) fn check<T>(&mut self, ours: &Checked, base: &Checked, cover: Cover<T>) -> Result<(), Error> {
        if let Some(wider) = cover.wider {
            let what = wider.what.into_iter().next().unwrap_or_default();
            return Err(ours.widening(&wider.id, base, wider.base.as_deref().unwrap_or_default(), what));
        }
        self.0.extend(cover.ids);
        Ok(())
    }
}

impl Checked {
    pub(super) fn new(policy: Policy, places: Places, source: &Source<'_>, bases: &[Self]) -> Self {
        let extended = bases.iter().flat_map(|base| base.extended.iter().chain([&base.file]).cloned()).collect();
        Self { policy, places, file: source.path(), extended }
    }

    /// Refuses an id that an inherited rule also has.
    pub(super) fn check_ids(&self, source: &Source<'_>) -> Result<(), Error> {
        let ids = SECTIONS.iter().flat_map(|section| section.rules(&self.policy));
        let mut seen = std::collections::BTreeSet::new();
        for id in ids {
            if !seen.insert(id) {
                let (file, line) = self.places.of_key(id).unwrap_or((source.path(), 1));
                let what = format!("{id:?} is the id of two rules, one of them inherited");
                let remedy = "give one of them another id; an [[ask]] rule without one is counted among all";
                return Err(Error::Invalid { file, line, what, remedy: remedy.into() });
            }
        }
        Ok(())
    }

    /// The error for a key or rule that allows more than a base does.
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

    /// The line of a key, if it is in this file.
    pub(super) fn at(&self, source: &Source<'_>, key: &str) -> Option<usize> {
        self.0.get(key).filter(|(file, _)| *file == source.file).map(|(_, line)| *line)
    }

    fn of_key(&self, key: &str) -> Option<(PathBuf, usize)> {
        self.0.get(key).cloned()
    }
}
