//! Where the tests run: over every place that executions can live in, or over some of them for a reason that is written down.
//!
//! One place: nothing runs.

use everstep_tests::deviations::{CLOCKED, RUNNING, THEIRS};
use everstep_tests::guests::project;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What begins a reason: on the line above the one that builds a single place, or in the head of a module.
const REASON: &str = "One place: ";

/// What builds or names a single place.
const SINGLE: [&str; 6] =
    ["Everstep::local", "Everstep::open", "Place::memory", "Place::folder", "MemoryStore", "FileStore"];

/// What gives every place.
const EACH: [&str; 2] = ["::each()", "Place::every_dialect()"];

/// What gives every place but a server.
const LOCAL: [&str; 2] = ["Place::local()", "Sandbox::local()"];

/// What begins a reason for that, on the line above it.
const NO_SERVER: &str = "No server: ";

/// A function of a source file, with its attributes and comments.
struct Function {
    name: String,
    text: String,
    is_test: bool,
}

/// The sources of the suite, each with its path; those of modules that give a reason are left out.
fn sources() -> Vec<(String, String)> {
    let suite = project().join("tests/suite");
    let mut files = Vec::new();
    collect(&suite, &mut files);
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let excused = |path: &Path| {
        let above = path.parent().unwrap();
        let modules = [path.to_owned(), above.join("mod.rs"), above.with_extension("rs")];
        modules.iter().any(|module| has_reason(&read(module)))
    };
    let shown = |path: &Path| path.strip_prefix(&suite).unwrap().display().to_string();
    files.iter().filter(|path| !excused(path)).map(|path| (shown(path), read(path))).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Whether the head of a module says why one place is enough.
fn has_reason(text: &str) -> bool {
    text.lines().filter_map(|line| line.strip_prefix("//! ")).any(is_reason)
}

fn is_reason(comment: &str) -> bool {
    gives(comment, REASON)
}

fn gives(comment: &str, reason: &str) -> bool {
    comment.strip_prefix(reason).is_some_and(|why| !why.trim().is_empty())
}

/// The lines that build a single place, or leave servers out, and have no reason above them.
fn unexplained(text: &str) -> Vec<&str> {
    let (mut found, mut above, mut imports) = (Vec::new(), "", false);
    for line in text.lines().map(str::trim) {
        imports |= line.starts_with("use ") || line.starts_with("pub(crate) use ");
        let code = line.split("//").next().unwrap_or_default();
        // An import only names what is built elsewhere, unless it gives it another name.
        let builds = SINGLE.iter().any(|single| has_word(code, single)) && (!imports || code.contains(" as "));
        let leaves_out = LOCAL.iter().any(|local| has_word(code, local));
        let has_reason = |reason: &str| above.strip_prefix("// ").is_some_and(|above| gives(above, reason));
        if builds && !has_reason(REASON) || leaves_out && !has_reason(NO_SERVER) {
            found.push(line);
        }
        imports &= !line.ends_with(';');
        above = line;
    }
    found
}

/// Whether a text has these words, and not only as a part of longer ones.
fn has_word(text: &str, word: &str) -> bool {
    let in_name = |it: char| it.is_alphanumeric() || it == '_';
    let is_part = |at: usize| {
        let after = &text[at + word.len()..];
        text[..at].ends_with(in_name) || word.ends_with(in_name) && after.starts_with(in_name)
    };
    text.match_indices(word).any(|(at, _)| !is_part(at))
}

/// The functions of a file that is formatted.
fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = declared(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let above = lines[..at].iter().rev().take_while(|line| {
            let line = line.trim_start();
            line.starts_with("#[") || line.starts_with("//")
        });
        let first = at - above.count();
        let is_end = |line: &&str| line.strip_prefix(indent) == Some("}");
        let length = if line.ends_with('}') { 0 } else { lines[at..].iter().position(is_end).unwrap() };
        let is_test =
            lines[first..at].iter().any(|line| ["#[test]", "#[tokio::test"].iter().any(|test| line.contains(test)));
        found.push(Function { name: name.to_owned(), text: lines[first..=at + length].join("\n"), is_test });
    }
    found
}

/// The function that a line begins.
fn declared(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_word = |word: &str| ["async"].contains(&word) || word.starts_with("pub");
    let name = after.split(['(', '<']).next()?;
    before.split_whitespace().all(is_word).then_some(name)
}

/// The tests of a file that reach neither every place nor a reason, by themselves or through a function of the file.
fn partial(text: &str) -> Vec<String> {
    let all = functions(text);
    let mut reaching = BTreeSet::new();
    loop {
        let before = reaching.len();
        for function in &all {
            let reaches = |known: &&str| *known != function.name && has_word(&function.text, known);
            let text = &function.text;
            let is_reached = text.contains(REASON) || EACH.iter().chain(&LOCAL).any(|several| text.contains(several));
            if is_reached || reaching.iter().any(reaches) {
                reaching.insert(function.name.as_str());
            }
        }
        if reaching.len() == before {
            break;
        }
    }
    let is_partial = |function: &&Function| function.is_test && !reaching.contains(function.name.as_str());
    all.iter().filter(is_partial).map(|function| function.name.clone()).collect()
}

#[test]
fn every_test_runs_over_all_places_or_says_why_one_is_enough() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        wrong.extend(unexplained(&text).iter().map(|line| format!("{path} builds one place: {line}")));
        wrong.extend(partial(&text).iter().map(|test| format!("{path}: {test} does not run over all places")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Each test that leaves out servers of the Resonate project is there, once, and has a reason.
#[test]
fn what_leaves_out_servers_of_others_is_a_test_and_has_a_reason() {
    let suite = project().join("tests/suite");
    let mut seen = BTreeSet::new();
    let reasons = THEIRS.iter().chain(&RUNNING).copied().chain(CLOCKED.iter().map(|test| (*test, "the clock")));
    for (test, why) in reasons {
        let (module, name) = test.rsplit_once("::").unwrap();
        let path = module.replace("::", "/");
        let files = [format!("{path}.rs"), format!("{path}/mod.rs")];
        let text: String = files.iter().map(|file| fs::read_to_string(suite.join(file)).unwrap_or_default()).collect();
        assert!(functions(&text).iter().any(|function| function.is_test && function.name == name), "{test} is no test");
        assert!(!why.trim().is_empty() && seen.insert(test), "{test} has no reason, or two");
    }
}

#[test]
fn each_way_to_build_one_place_is_found() {
    for text in [
        "let host = quick(Everstep::local()).build();",
        "let host = everstep::Everstep::local();",
        "let builder = Everstep::local;",
        "let host = Everstep::open(dir.path());",
        "let place = Place::memory();",
        "let place = Place::folder();",
        "for place in [Place::memory, Place::folder] {",
        "for place in Place::local() {",
        "// One place: why.\nfor sandbox in Sandbox::local() {",
        "// No server: \nfor sandbox in Sandbox::local() {",
        "let store = Arc::new(MemoryStore::default());",
        "let store: Arc<MemoryStore> = Arc::default();",
        "let store = FileStore::open(dir.path());",
        "use everstep::store::MemoryStore as Tables;",
        "// One place:\nlet place = Place::folder();",
        "// One place: why.\n\nlet place = Place::folder();",
        "/// In a folder.\nlet place = Place::folder();",
    ] {
        assert_eq!(unexplained(text).len(), 1, "{text}");
    }
    for text in [
        "// One place: it damages a file.\nlet place = Place::folder();",
        "// No server: it looks into the tables.\nfor place in Place::local() {",
        "use everstep::store::{MemoryStore, FileStore};",
        "use everstep::store::{\n    FileStore,\n};",
        "let host = Everstep::over(store); // not Everstep::local()",
        "let place = place.another();",
        "fn is_a_Place::memory_of() {",
    ] {
        assert_eq!(unexplained(text), [""; 0], "{text}");
    }
}

#[test]
fn each_way_to_see_one_place_only_is_found() {
    for text in [
        "#[test]\nfn sees() {\n    let host = Everstep::over(store);\n}",
        "#[test]\nfn sees() {}",
        "#[tokio::test(flavor = \"multi_thread\")]\npub(super) async fn sees() {\n    helps();\n}\n\nfn helps() {\n    run();\n}",
        "#[test]\nfn sees() {\n    let unhelpful = 1;\n}\n\nfn help() {\n    for place in Place::each() {}\n}",
    ] {
        assert_eq!(partial(text), ["sees"], "{text}");
    }
    for text in [
        "#[test]\nfn sees() {\n    for place in Place::each() {\n    }\n}",
        "#[test]\nfn sees() {\n    for sandbox in Sandbox::each() {\n    }\n}",
        "#[test]\nfn sees() {\n    for place in Place::every_dialect() {\n    }\n}",
        "#[test]\nfn sees() {\n    // No server: why.\n    for place in Place::local() {\n    }\n}",
        "#[test]\nfn sees() {\n    helps();\n}\n\nfn helps() {\n    helps_too();\n}\n\nfn helps_too() {\n    for place in Place::each() {}\n}",
        "/// One place: it is about a pipe.\n#[test]\nfn sees() {\n    run();\n}",
        "fn sees() {\n    run();\n}",
    ] {
        assert_eq!(partial(text), [""; 0], "{text}");
    }
    assert!(has_reason("//! What it is.\n//!\n//! One place: it drives the program.\n\nuse std::fs;"));
    assert!(
        !has_reason("//! What it is.\n\n// One place: it drives the program.\n") && !has_reason("//! One place:\n")
    );
}
