//! `[[files]]`: folders of the host under paths of the guest. `decide` is the decision on one path.

mod decide;

pub use decide::{FileOperation, FilesCall};

use super::{AskRule, Askable, Base, File, HostPath, Keeps, NoQuestion, Policy, Question, RuleSize, Section, Touch};
use crate::extends::{Bound, Checked, Covers, Grant, beyond, cover};
use crate::read::{Reader, real_path};
use crate::source::{At, Source};
use crate::tools::render::{count, host_path, quote, rule, size};
use crate::units::{self, Count, Size, count_text, size_text};
use crate::{Error, path, quoted, system};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;
const MAX_FILE: u64 = 10 * MIB;
const MAX_WRITTEN: u64 = 50 * MIB;
const MAX_FILES: u64 = 1000;

/// `[[files]]`: one folder of the host under one path of the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesGrant {
    /// The rule's id.
    pub id: String,
    /// The guest's path of the folder: absolute and canonical.
    pub guest: String,
    /// The folder, absolute; empty for [`Access::Scratch`].
    pub host: PathBuf,
    /// The operations that are allowed below it.
    pub access: Access,
    /// Largest file that may be read or written, in bytes.
    pub max_file: u64,
    /// How many bytes one execution may write in all; 0 for a read grant.
    pub max_written: u64,
    /// How many different files one execution may write, including folders that it needs for them; 0 for a read
    /// grant.
    pub max_files: u64,
    /// Whether the files of an image are kept in the store.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
}

/// The operations that a `[[files]]` rule allows, from the fewest to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// `read`, `list` and `stat` of the folder as it is when the execution starts: what it holds is pinned, and no read is recorded.
    Image,
    /// `read`, `list` and `stat`.
    Read,
    /// Everything, in a folder that is empty at first and that only the execution has: in memory, gone with it.
    Scratch,
    /// These, `write` and `remove`; the guest sees its own changes, and the folder of the host does not change.
    Overlay,
    /// These, `write` and `remove`.
    Write,
}

impl Policy {
    /// The same policy where the folders of these `[[files]]` rules lie elsewhere, by the ids of the rules.
    pub fn with_folders(&self, folders: &BTreeMap<String, PathBuf>) -> Cow<'_, Self> {
        if !self.files.iter().any(|grant| folders.contains_key(&grant.id)) {
            return Cow::Borrowed(self);
        }
        let mut moved = self.clone();
        for grant in moved.files.iter_mut().filter(|grant| grant.access != Access::Scratch) {
            folders.get(&grant.id).into_iter().for_each(|folder| grant.host.clone_from(folder));
        }
        Cow::Owned(moved)
    }
}

impl Policy {
    /// The guest's path of a file of the host, an absolute path without links; `None` if it is in no folder of a rule.
    pub fn shown_at(&self, file: &Path) -> Option<String> {
        let inside = |grant: &'_ FilesGrant| {
            let below = file.strip_prefix(&grant.host).ok().filter(|_| grant.access != Access::Scratch)?;
            Some(format!("{}/{}", grant.guest.trim_end_matches('/'), below.to_str()?))
        };
        let nearest = |grant: &&FilesGrant| grant.host.components().count();
        let mut grants: Vec<_> = self.files.iter().collect();
        grants.sort_by_key(|grant| std::cmp::Reverse(nearest(grant)));
        grants.into_iter().find_map(inside)
    }
}

/// One folder of the host under one path of the guest.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Files {
    /// The id of the rule, which decisions name.
    id: At<String>,
    /// The path of the folder in the guest.
    guest: At<String>,
    /// The folder of the host, relative to this file; none for `scratch`.
    host: Option<At<String>>,
    /// The operations that are allowed below it.
    access: At<Access>,
    /// The largest file that may be read or written; when it is missing, 10MiB, or the payload of one call if that is less.
    max_file: Option<At<Size>>,
    /// How many bytes one execution may write in total.
    max_written: Option<At<Size>>,
    /// How many different files one execution may write, including folders that it needs for them.
    max_files: Option<At<Count>>,
    /// Whether the store keeps the files of an image, for machines without the folder, and for when the folder changes.
    keep: Option<At<bool>>,
}

struct FilesSection;

pub(super) const SECTION: &dyn Section = &FilesSection;

impl Section for FilesSection {
    fn key(&self) -> &'static str {
        "files"
    }

    fn read(&self, file: &File, reader: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error> {
        let Some(shapes) = &file.files else { return Ok(()) };
        let mut grants: Vec<FilesGrant> = Vec::with_capacity(shapes.len());
        for shape in shapes {
            let grant = grant(shape, policy.limits.bytes_per_call, reader)?;
            for other in &grants {
                check_overlap(&grant, other, shape, reader.source)?;
            }
            grants.push(grant);
        }
        policy.files = grants;
        Ok(())
    }

    /// Files that control the host must not be where a guest can write, nor secrets where a guest can read.
    fn finish(&self, file: &File, source: &Source<'_>, checked: &mut Checked, _: &[Base<'_>]) -> Result<(), Error> {
        let policy = &checked.policy;
        let folders = file.files.iter().flatten();
        let place = |rule: &str| {
            let mut folders = folders.clone().filter(|shape| shape.id.get_ref() == rule);
            folders.next().and_then(|shape| shape.host.as_ref()).map_or(0..0, At::span)
        };
        let remedy = "grant a folder that does not hold it";
        let refused = |rule: &str, deed: &str, line: Option<usize>| Error::Invalid {
            file: source.path(),
            line: line.unwrap_or_else(|| source.line(&place(rule))),
            what: format!("rule {rule:?} lets the guest {deed}"),
            remedy: remedy.into(),
        };
        if let Some(rule) = policy.writable_at(source.file) {
            return Err(refused(rule, "rewrite this policy file", None));
        }
        if let Some(rule) = checked.extended.iter().find_map(|file| policy.writable_at(file)) {
            return Err(refused(rule, "rewrite a policy that this one extends", None));
        }
        let mut guarded: Vec<_> = policy.paths().filter_map(|named| Some((named.path, named.guard?))).collect();
        guarded.sort_by_key(|(_, guard)| guard.touch == Touch::Read);
        for (path, guard) in guarded {
            if let Some(rule) = self.touches(policy, path, guard.touch) {
                let line = guard.key.and_then(|key| checked.places.at(source, key));
                return Err(refused(rule, guard.deed, line));
            }
        }
        Ok(())
    }

    fn is_given(&self, file: &File) -> bool {
        file.files.is_some()
    }

    fn largest(&self, file: &File) -> Option<u64> {
        units::largest(file.files.iter().flatten().map(|shape| &shape.max_file))
    }

    fn meet(&self, policy: &mut Policy, _: &Policy, other: &Policy) {
        policy.files = cover(&policy.files, &other.files).kept;
    }

    fn check_narrower(&self, ours: &Checked, base: &Checked, covers: &mut Covers) -> Result<(), Error> {
        covers.check(ours, base, cover(&ours.policy.files, &base.policy.files))
    }

    fn beyond(&self, ours: &Policy, base: &Policy) -> Vec<String> {
        beyond(&ours.files, &base.files)
    }

    fn keep(&self, policy: &mut Policy, _: &Policy, keeps: &Keeps<'_>) {
        policy.files.retain(|grant| keeps(self.key(), &grant.id));
    }

    fn add(&self, policy: &mut Policy, other: &Policy) {
        policy.files.extend(other.files.iter().cloned());
    }

    fn rules<'p>(&self, policy: &'p Policy) -> Vec<&'p str> {
        policy.files.iter().map(|grant| grant.id.as_str()).collect()
    }

    fn owns(&self, name: &str) -> bool {
        name.starts_with("files")
    }

    fn askable(&self) -> &'static [Askable] {
        &[
            Askable { name: "files.write", by_method: false, schemes: None },
            Askable { name: "files.remove", by_method: false, schemes: None },
        ]
    }

    fn asked_about<'p>(&self, policy: &'p Policy, ask: &AskRule) -> Vec<&'p str> {
        if !self.askable().iter().any(|one| ask.when.is(one.name)) {
            return Vec::new();
        }
        policy.files.iter().filter(|grant| grant.access.changes()).map(|grant| grant.id.as_str()).collect()
    }

    fn question(&self, capability: &str, path: &str) -> Option<Result<Box<dyn Question>, NoQuestion>> {
        let name = capability.strip_prefix("files.")?;
        let name = match name {
            "replace" | "append" | "patch" => "write",
            "image" => "list",
            name => name,
        };
        Some(decide::question(name, path))
    }

    fn paths<'p>(&self, policy: &'p Policy) -> Vec<HostPath<'p>> {
        let named = |grant: &'p FilesGrant| HostPath {
            path: &grant.host,
            role: "the [[files]] rule",
            rule: Some(&grant.id),
            guard: None,
        };
        policy.files.iter().filter(|grant| grant.access != Access::Scratch).map(named).collect()
    }

    fn touches<'p>(&self, policy: &'p Policy, path: &Path, touch: Touch) -> Option<&'p str> {
        let touches = |grant: &&FilesGrant| match touch {
            Touch::Read => grant.holds(path),
            Touch::Write => grant.access == Access::Write && grant.holds(path),
            Touch::WriteWithin => grant.access == Access::Write && real_path(&grant.host).starts_with(real_path(path)),
        };
        policy.files.iter().find(touches).map(|grant| grant.id.as_str())
    }

    fn render(&self, policy: &Policy, text: &mut String) {
        policy.files.iter().for_each(|grant| text.push_str(&format!("\n{}", grant.toml())));
    }

    fn rule_toml(&self, policy: &Policy, rule: &str) -> Option<String> {
        policy.files.iter().find(|grant| grant.id == rule).map(FilesGrant::toml)
    }

    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)> {
        let line = |grant: &FilesGrant| {
            let FilesGrant { id, guest, host, access, max_file, max_written, max_files, keep } = grant;
            let access = match access {
                Access::Image => {
                    let kept = if *keep { "; kept in the store" } else { "" };
                    format!("read, as it is at the start; files up to {}{kept}", units::size_told(*max_file))
                }
                Access::Read => format!("read; files up to {}", units::size_told(*max_file)),
                Access::Write | Access::Overlay | Access::Scratch => {
                    let (file, written) = (units::size_told(*max_file), units::size_told(*max_written));
                    let write = if *access == Access::Overlay { "write in memory" } else { "write" };
                    let files = count_text(*max_files);
                    format!("read and {write}; files up to {file}, {written} in {files} files written")
                }
            };
            let folder = match grant.access {
                Access::Scratch => "empty at first, and in memory".to_owned(),
                _ => everstep_words::visible::path(host).to_string(),
            };
            ("files", format!("{id}: {guest} is {folder}: {access}"))
        };
        policy.files.iter().map(line).collect()
    }

    fn sizes<'p>(&self, policy: &'p Policy) -> Vec<RuleSize<'p>> {
        let size = |grant: &'p FilesGrant| RuleSize {
            rule: &grant.id,
            key: "max_file",
            bytes: grant.max_file,
            recorded: Some((1, 1)).filter(|_| grant.access != Access::Image),
        };
        policy.files.iter().map(size).collect()
    }

    fn remarks(&self, policy: &Policy) -> Vec<String> {
        let changed = policy.files.iter().filter(|grant| grant.access.changes());
        let useless = changed.filter(|grant| grant.max_file != u64::MAX && grant.max_file > grant.max_written);
        let remark = |grant: &FilesGrant| {
            let (file, written) = (size_text(grant.max_file), size_text(grant.max_written));
            format!("max_file = {file} of rule {:?} holds for reading only: max_written = {written}", grant.id)
        };
        useless.map(remark).collect()
    }
}

impl Policy {
    /// The grant that covers a guest path, and the rest of the path below the grant's root (empty for the root itself).
    /// `None` for a path that is malformed or that no grant covers.
    pub fn resolve<'a>(&self, path: &'a str) -> Option<(usize, &'a str)> {
        path::check(path).ok()?;
        self.files.iter().enumerate().find_map(|(index, grant)| Some((index, path::below(&grant.guest, path)?)))
    }

    /// The names in a folder above those of the rules, which lead to them, in their byte order; `/` is one, whatever the rules are. `None` if
    /// the path is no such folder.
    pub fn leading(&self, path: &str) -> Option<BTreeSet<&str>> {
        if self.resolve(path).is_some() {
            return None;
        }
        let below = self.files.iter().filter_map(|grant| path::below(path, &grant.guest));
        let names: BTreeSet<&str> = below.filter_map(|rest| rest.split('/').next()).collect();
        (path == "/" || !names.is_empty()).then_some(names)
    }

    /// Whether this policy, as a ceiling, lends something of the folder of a rule: it has that folder, or one above or below it, at the same
    /// path of the guest. A scratch needs none.
    pub fn lends_folder(&self, grant: &FilesGrant) -> bool {
        let lends = |lent: &FilesGrant| lent.covers(grant) || grant.covers(lent);
        grant.access == Access::Scratch || self.files.iter().any(lends)
    }

    fn resolve_grant<'a>(&self, path: &'a str) -> Option<(&FilesGrant, &'a str)> {
        let (index, below) = self.resolve(path)?;
        Some((self.files.get(index)?, below))
    }
}

impl Access {
    /// The name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Read => "read",
            Self::Scratch => "scratch",
            Self::Overlay => "overlay",
            Self::Write => "write",
        }
    }

    /// Whether the guest may write, to the folder or in memory.
    pub fn changes(self) -> bool {
        !matches!(self, Self::Image | Self::Read)
    }
}

impl FilesGrant {
    /// The folders that are there from the beginning, below the path of the rule: a program that has all of `/` for itself looks for `/tmp`.
    pub fn first_folders(&self) -> &'static [&'static str] {
        if self.access == Access::Scratch && self.guest == "/" { &["tmp"] } else { &[] }
    }

    /// Whether the folder contains `path`, or is it.
    fn holds(&self, path: &Path) -> bool {
        self.access != Access::Scratch && real_path(path).starts_with(real_path(&self.host))
    }

    fn toml(&self) -> String {
        let changes = self.access.changes();
        rule(
            "files",
            &[
                ("id", Some(quote(&self.id))),
                ("guest", Some(quote(&self.guest))),
                ("host", Some(host_path(&self.host)).filter(|_| self.access != Access::Scratch)),
                ("access", Some(quote(self.access.name()))),
                ("max_file", size(self.max_file)),
                ("max_written", size(self.max_written).filter(|_| changes)),
                ("max_files", count(self.max_files).filter(|_| changes)),
                ("keep", self.keep.then(|| "true".to_owned())),
            ],
        )
    }
}

impl Grant for FilesGrant {
    fn id(&self) -> &str {
        &self.id
    }

    fn covers(&self, other: &Self) -> bool {
        let rest = path::below(&self.guest, &other.guest);
        if [self, other].iter().any(|grant| grant.access == Access::Scratch) {
            return rest.is_some() && self.access == other.access;
        }
        rest.is_some_and(|rest| real_path(&other.host) == real_path(&self.host.join(rest)))
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.covers(other)
    }

    fn bounds(&self, other: &Self) -> Result<Vec<Bound>, String> {
        if other.access > self.access {
            return Err(format!("access = \"{}\" instead of \"{}\"", other.access.name(), self.access.name()));
        }
        // The base also counts the folders between its root and that of the grant.
        let between = path::below(&self.guest, &other.guest)
            .map_or(0, |rest| rest.split('/').filter(|name| !name.is_empty()).count());
        let between = if other.access.changes() { between as u64 } else { 0 };
        Ok(vec![
            Bound::each("max_file", other.max_file, self.max_file, size_text),
            Bound::shared("max_written", other.max_written, self.max_written, size_text),
            Bound::shared("max_files", other.max_files.saturating_add(between), self.max_files, count_text),
        ])
    }

    fn granted(&self) -> String {
        match self.access {
            Access::Scratch => format!("a scratch folder at {}", self.guest),
            _ => format!("{} at {}", everstep_words::visible::path(&self.host), self.guest),
        }
    }
}

/// `"data" grants read below "/data"`, for messages.
impl fmt::Display for FilesGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" grants {} below {}", self.id, self.access.name(), quoted(&self.guest))
    }
}

fn grant(shape: &Files, per_call: u64, reader: &mut Reader<'_>) -> Result<FilesGrant, Error> {
    let id = reader.take_id(&shape.id)?;
    let source = reader.source;
    let guest = shape.guest.get_ref();
    path::check(guest).map_err(|fault| {
        let what = format!("{} is no guest path ({fault})", quoted(guest));
        source.invalid(&shape.guest.span(), what, "write an absolute path, such as \"/data\"")
    })?;
    let access = *shape.access.get_ref();
    let written = shape.max_written.as_ref().map(|max| ("max_written", max.span()));
    let number = shape.max_files.as_ref().map(|max| ("max_files", max.span()));
    if let (false, Some((key, place))) = (access.changes(), written.or(number)) {
        let what = format!("{key} has no meaning for access = {}", quote(access.name()));
        return Err(source.invalid(&place, what, "remove it, or set access = \"write\""));
    }
    if let Some(keep) = shape.keep.as_ref().filter(|_| access != Access::Image) {
        let what = format!("keep has no meaning for access = {}", quote(access.name()));
        return Err(source.invalid(&keep.span(), what, "remove it, or set access = \"image\""));
    }
    let host = host_folder(shape, &id, access, reader)?;
    let for_writing = |max: u64| if access.changes() { max } else { 0 };
    let max_file = shape.max_file.as_ref().map(|max| max.get_ref().0);
    // A file of the largest size can be written at least once.
    let max_written = max_file.filter(|max| *max != u64::MAX).map_or(MAX_WRITTEN, |max| max.max(MAX_WRITTEN));
    Ok(FilesGrant {
        id,
        guest: guest.clone(),
        host,
        access,
        max_file: max_file.unwrap_or(MAX_FILE.min(per_call)),
        max_written: for_writing(shape.max_written.as_ref().map_or(max_written, |max| max.get_ref().0)),
        max_files: for_writing(shape.max_files.as_ref().map_or(MAX_FILES, |max| max.get_ref().0)),
        keep: shape.keep.as_ref().is_some_and(|keep| *keep.get_ref()),
    })
}

/// The folder of the host, which every rule but a scratch has.
fn host_folder(shape: &Files, id: &str, access: Access, reader: &mut Reader<'_>) -> Result<PathBuf, Error> {
    let source = reader.source;
    let host = match (&shape.host, access) {
        (None, Access::Scratch) => return Ok(PathBuf::new()),
        (Some(host), Access::Scratch) => {
            let what = format!("rule {id:?} names a folder of the host, and a scratch has none");
            return Err(source.invalid(&host.span(), what, "remove it, or set access = \"overlay\""));
        }
        (None, _) => {
            let what = format!("rule {id:?} names no folder of the host");
            return Err(source.invalid(&shape.id.span(), what, "add host = \"./folder\", or set access = \"scratch\""));
        }
        (Some(host), _) => host,
    };
    let folder = reader.absolute(host)?;
    if system::shows_itself_in(&folder) {
        let what = format!("the host folder of rule {id:?} holds what the system shows of itself");
        return Err(source.invalid(&host.span(), what, "grant a folder apart from /proc, /sys and /dev"));
    }
    Ok(folder)
}

/// Refuses guest paths with two meanings, and a folder that is read through one rule and written through another.
fn check_overlap(grant: &FilesGrant, other: &FilesGrant, shape: &Files, source: &Source<'_>) -> Result<(), Error> {
    if path::below(&other.guest, &grant.guest).is_some() || path::below(&grant.guest, &other.guest).is_some() {
        let what = format!("the guest path {} overlaps that of rule {:?}", quoted(&grant.guest), other.id);
        return Err(source.invalid(&shape.guest.span(), what, "give each rule a path outside the others"));
    }
    let Some(host) = shape.host.as_ref().filter(|_| other.access != Access::Scratch) else { return Ok(()) };
    let (a, b) = (real_path(&grant.host), real_path(&other.host));
    let writable = [grant, other].iter().any(|grant| grant.access == Access::Write);
    if writable && (a.starts_with(&b) || b.starts_with(&a)) {
        let what = format!("the host folder overlaps that of rule {:?}, and one of them is writable", other.id);
        return Err(source.invalid(&host.span(), what, "keep a writable folder apart from the others"));
    }
    Ok(())
}
