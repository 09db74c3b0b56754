//! A capability with a section of its own is in few files: what one section is about, no other code knows.
//!
//! A file names a section when its code, without comments and tests, has
//! - a public type of the section,
//! - one of its calls, as `Call::NAME`,
//! - what the policy holds of it, as the field of a policy,
//! - or its key as a file writes it: `[KEY]`, `[[KEY]]` or `[KEY.`.
//!
//! The list of the sections names each of them.

use super::*;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Most files that may name one.
const MOST: usize = 8;

/// Sections about no capability: they bound, record or ask about those of the others, or choose what runs.
const ABOUT_ALL: [&str; 5] = ["limits", "python", "network", "ask", "audit"];

/// What the policy is called where its fields are used.
const POLICIES: [&str; 11] =
    ["policy", "self", "whole", "ours", "base", "other", "theirs", "first", "second", "inherited", "ceiling"];

/// A file with production code, and the code.
struct Source {
    path: PathBuf,
    code: String,
}

/// The words by which code names a section.
#[derive(Debug)]
struct Names {
    types: BTreeSet<String>,
    calls: BTreeSet<String>,
    field: String,
    key: String,
}

#[test]
fn few_files_name_a_section() {
    let sources = sources();
    let sections = SECTIONS.iter().map(|section| section.key()).filter(|key| !ABOUT_ALL.contains(key));
    let crowded = sections.filter_map(|key| {
        let names = Names::of(key, &sources);
        let naming = sources.iter().filter(|source| source.is_list() || names.are_in(&source.code));
        let (sdk, naming): (Vec<_>, Vec<_>) =
            naming.map(|source| &source.path).partition(|path| path.starts_with("guest-sdk"));
        // An SDK is one place, in however many files it is written.
        let count = naming.len() + sdk.len().min(1);
        (count > MOST).then(|| format!("{count} files name [{key}]: {naming:#?} {sdk:#?}"))
    });
    let crowded: Vec<_> = crowded.collect();
    assert!(crowded.is_empty(), "{}", crowded.join("\n"));
}

#[test]
fn each_way_to_name_a_section_is_found() {
    let names = Names::of("files", &sources());
    for code in [
        "fn f(grant: &FilesGrant) {}",
        "let access = policy::Access::Read;",
        "match call { Call::Files(_) => {} }",
        "self.grants.policy.files.len()",
        "let Policy { limits, files, .. } = policy;",
        "format!(\"the [[files]] rule {id}\")",
    ] {
        assert!(names.are_in(code), "{code}");
    }
    for code in [
        "let files = folder.files();",
        "summary.files",
        "Accessor",
        "ErrorCode::Access",
        "use crate::files;",
        "impl Policy {\nfiles",
    ] {
        assert!(!names.are_in(code), "{code}");
    }
}

#[test]
fn no_capability_is_called_what_a_section_asks_about() {
    let asked = SECTIONS.iter().flat_map(|section| section.askable().iter().map(move |one| (section, one)));
    for (section, asked) in asked {
        assert!(section.owns(asked.name), "[{}]: {}", section.key(), asked.name);
    }
}

impl Source {
    /// Whether it is the list of the sections.
    fn is_list(&self) -> bool {
        self.path.ends_with("policy/src/section/mod.rs")
    }
}

impl Names {
    /// Reads them from the file or the folder of the section, and from the list.
    fn of(key: &str, sources: &[Source]) -> Self {
        let own = [format!("section/{key}.rs"), format!("section/{key}/")];
        let own = sources.iter().filter(|source| own.iter().any(|own| source.path.to_string_lossy().contains(own)));
        let declared = own.flat_map(|source| source.code.lines()).filter_map(|line| {
            let rest = line.strip_prefix("pub ")?;
            let name = rest.strip_prefix("struct ").or_else(|| rest.strip_prefix("enum "))?;
            Some(words(name).next()?.to_owned())
        });
        let list = sources.iter().find(|source| source.is_list()).unwrap();
        let entry = list.code.split_once(&format!("\n    {key} {{")).unwrap().1.split("\n    }\n").next().unwrap();
        let field = entry.lines().find_map(|line| line.trim().strip_prefix("policy: ")).unwrap();
        let field = field.rsplit_once("] ").map_or(field, |(_, field)| field);
        let calls = entry.split_once("calls: {").map_or("", |(_, calls)| calls).lines();
        Self {
            types: declared.collect(),
            calls: calls.filter_map(|line| Some(line.trim().split_once('(')?.0.to_owned())).collect(),
            field: words(field).next().unwrap().to_owned(),
            key: key.to_owned(),
        }
    }

    fn are_in(&self, code: &str) -> bool {
        let Self { types, calls, field, key } = self;
        let held = |policy: &&str| {
            let uses = found(code, &format!("{policy}.{field}"));
            // No field of something else, and no method.
            (*policy != "self" || code.contains("impl Policy")) && uses.into_iter().any(|rest| !rest.starts_with('('))
        };
        let taken_apart = code.match_indices("Policy {").filter(|(at, _)| !code[..*at].ends_with("impl "));
        let fields = taken_apart.filter_map(|(at, _)| code[at + 8..].split(['}', '{', ';']).next());
        let written = [format!("[{key}]"), format!("[{key}.")];
        // A reason in another enumeration may have the name of a type.
        words(&code.replace("ErrorCode::", "ErrorCode")).any(|word| types.contains(word))
            || calls.iter().any(|call| !found(code, &format!("Call::{call}")).is_empty())
            || POLICIES.iter().any(held)
            || fields.flat_map(words).any(|word| word == field)
            || written.iter().any(|key| code.match_indices(key.as_str()).any(|(at, _)| is_key(code, at)))
    }
}

/// What follows a word, wherever it stands.
fn found<'c>(code: &'c str, word: &str) -> Vec<&'c str> {
    let joins = |one: char| one.is_alphanumeric() || one == '_';
    let found = code.match_indices(word).filter(|(at, _)| !code[..*at].ends_with(joins));
    found.map(|(at, _)| &code[at + word.len()..]).filter(|rest| !rest.starts_with(joins)).collect()
}

/// Whether a key of a policy file begins here, and no index, attribute or list.
fn is_key(code: &str, at: usize) -> bool {
    let before = code[..at].trim_end_matches('[');
    !before.ends_with(|one: char| one.is_alphanumeric() || "_#!)]&".contains(one))
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|one: char| !(one.is_alphanumeric() || one == '_')).filter(|word| !word.is_empty())
}

/// All production code that could know a policy: of the host, the interfaces and the SDKs.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut sources = Vec::new();
    for folder in ["host/src", "host/policy/src", "wit", "guest-sdk"] {
        collect(root, &root.join(folder), &mut sources);
    }
    assert!(sources.len() > 200, "only {} files", sources.len());
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_code = [".rs", ".wit", ".py"].iter().any(|end| name.ends_with(end));
        if path.is_dir() && !["tests", "target", "benches"].contains(&name.as_str()) {
            collect(root, &path, sources);
        } else if is_code && name != "tests.rs" {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("\n#[cfg(test)]").next().unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let code = code.map(|line| format!("{line}\n")).collect();
            sources.push(Source { path: path.strip_prefix(root).unwrap().to_owned(), code });
        }
    }
}
