//! How the code is laid out: who may import whom, and how long a file may be.
//!
//! One place: nothing runs.

use everstep_tests::guests::project;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of code that a file may have, without blank lines and comments.
const LONGEST: usize = 500;

/// What each crate may import of the others.
const CRATES: [(&str, &[&str]); 5] = [
    ("host/words", &[]),
    ("host/policy", &["everstep-words"]),
    ("host/store", &["everstep-words"]),
    ("host/resonate", &["everstep-store", "everstep-words"]),
    ("host", &["everstep-policy", "everstep-resonate", "everstep-store", "everstep-words"]),
];

/// The modules of the library and the program: each may import those before it, and itself.
const FLOORS: [&str; 19] = [
    "blocking",
    "store",
    "json",
    "schema",
    "secrets",
    "network",
    "vfs",
    "engine",
    "grants",
    "trace",
    "bridge",
    "bindings",
    "turns",
    "capability",
    "telemetry",
    "host",
    "session",
    "guest_build",
    "cli",
];

/// Names in the root of the library that belong to another crate, or to a floor.
const ROOT: [(&str, Option<&str>); 12] = [
    ("clock", None),
    ("dice", None),
    ("guest_error", None),
    ("id", None),
    ("output", None),
    ("policy", None),
    ("regular_file", None),
    ("visible", None),
    ("new_crate", Some("guest_build")),
    ("bindgen", None),
    ("JOURNAL_FORMAT", None),
    ("ENGINE_VERSION", None),
];

/// The Rust and Python files of the project, apart from what is generated.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && !["target", "node_modules"].contains(&name) {
            found.extend(sources(&path));
        } else if [".rs", ".py"].iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
    found
}

/// Lines that are neither blank nor a comment.
fn code_lines(text: &str) -> usize {
    let is_code = |line: &&str| !line.is_empty() && !line.starts_with("//") && !line.starts_with("# ");
    text.lines().map(str::trim).filter(is_code).count()
}

/// The modules of the crate that a source file names, by `crate::` or by a chain of `super::` that leads to the root. `depth` is how far
/// the file's own module is from there.
fn named(text: &str, depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default();
        // A module in the file is one step further away.
        let inner = text.lines().take(number).any(|line| line.trim_start().starts_with("mod ") && line.ends_with('{'));
        let up = "super::".repeat(depth + usize::from(inner));
        for lead in ["crate::", &up] {
            for (start, _) in line.match_indices(lead) {
                let before = line[..start].chars().next_back();
                if before.is_some_and(|before| before.is_alphanumeric() || before == '_' || before == ':') {
                    continue;
                }
                let name: String =
                    line[start + lead.len()..].chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
                found.push(if name.is_empty() { "{".to_owned() } else { name });
            }
        }
    }
    found
}

/// What a file of the floor `own` imports against the order.
fn upward(own: &str, text: &str, depth: usize) -> Vec<String> {
    let floor = |name: &str| FLOORS.iter().position(|known| *known == name);
    let roots = BTreeMap::from(ROOT);
    let allowed = |name: &String| match roots.get(name.as_str()) {
        Some(None) => true,
        Some(Some(of)) => floor(of) <= floor(own),
        None => floor(name).is_some_and(|it| Some(it) <= floor(own)),
    };
    named(text, depth).into_iter().filter(|name| !allowed(name)).collect()
}

#[test]
fn no_module_imports_upward() {
    let root = project().join("host/src");
    let mut wrong = Vec::new();
    for path in sources(&root) {
        let below = path.strip_prefix(&root).unwrap().with_extension("");
        let parts: Vec<&str> = below.iter().map(|part| part.to_str().unwrap()).filter(|part| *part != "mod").collect();
        let own = parts[0];
        if ["lib", "main"].contains(&own) {
            continue;
        }
        assert!(FLOORS.contains(&own), "{own} has no place among the floors");
        let text = fs::read_to_string(&path).unwrap();
        let names = upward(own, &text, parts.len());
        wrong.extend(names.into_iter().map(|name| format!("{} imports {name}", below.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_way_to_import_upward_is_found() {
    for (own, depth, text) in [
        ("bridge", 2, "use crate::capability::files::Folders;"),
        ("bridge", 2, "    let x = crate::host::Error::Describe;"),
        ("bridge", 2, "use crate::{capability, id};"),
        ("bridge", 1, "use super::turns::Ctx;"),
        ("bridge", 2, "use super::super::turns::Ctx;"),
        ("json", 1, "mod tests {\n    use super::super::schema::Schema;\n}"),
        ("network", 2, "use crate::unheard_of::Thing;"),
        ("host", 1, "use crate::new_crate;"),
    ] {
        assert_eq!(upward(own, text, depth).len(), 1, "{text}");
    }
    for (own, depth, text) in [
        ("bridge", 2, "use crate::grants::Grants; // not crate::host"),
        ("bridge", 2, "/// See [`crate::host`]."),
        ("bridge", 3, "use super::super::Stop;"),
        ("schema", 1, "mod tests {\n    use super::*;\n}"),
        ("cli", 2, "use everstep::session::Client; use crate::new_crate;"),
    ] {
        assert_eq!(upward(own, text, depth), Vec::<String>::new().as_slice(), "{text}");
    }
}

#[test]
fn no_crate_imports_upward() {
    for (folder, below) in CRATES {
        let manifest: toml::Table =
            fs::read_to_string(project().join(folder).join("Cargo.toml")).unwrap().parse().unwrap();
        let ours = |name: &&String| name.starts_with("everstep");
        let found: Vec<&str> =
            manifest["dependencies"].as_table().unwrap().keys().filter(ours).map(String::as_str).collect();
        assert_eq!(found, below, "{folder}");
    }
}

#[test]
fn no_file_is_longer_than_five_hundred_lines_of_code() {
    let long: Vec<String> = sources(project())
        .into_iter()
        .map(|path| (code_lines(&fs::read_to_string(&path).unwrap()), path))
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, path)| format!("{}: {lines} lines", path.strip_prefix(project()).unwrap().display()))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}
