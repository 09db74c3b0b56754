//! Programs that nobody here wrote, unchanged: under a policy they do what they do on the system, also when their hosts are killed.
//!
//! `scripts/programs.sh` gets them. `inputs` is what they find in their folder, `killed` ends their hosts.
//!
//! One place: it drives the program, whose store is a folder.

mod inputs;
mod killed;

use crate::dice::Dice;
use crate::python::beside;
use everstep_tests::guests;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A program, what it is called with, and what it finds in the folder `in`. It writes to `out`.
struct Program {
    name: &'static str,
    args: &'static [&'static str],
    inputs: fn(&Path, Dice),
}

/// Searches a folder, without what its rules ignore.
const RIPGREP: Program = Program {
    name: "rg",
    args: &["--no-require-git", "--sort", "path", "-n", "-C", "1", r"\b(ash|elm)\w* [a-m]", "/in"],
    inputs: inputs::folders,
};

const MARKDOWN: Program = Program {
    name: "pulldown-cmark",
    args: &["--enable-tables", "--enable-footnotes", "--enable-tasklists", "/in/text.md"],
    inputs: inputs::markdown,
};

const JSON: Program =
    Program { name: "jsonxf", args: &["-i", "/in/rows.json", "-o", "/out/rows.json"], inputs: inputs::json };

/// The shell of SQLite: imports rows, and inserts, changes, joins and takes back in many transactions.
const SQLITE: Program =
    Program { name: "sqlite3", args: &["-bail", "out/all.db", ".read in/script.sql"], inputs: inputs::sql };

/// What programs need: as [`Program`] says, and where SQLite looks for its settings.
const POLICY: &str = r#"
version = 1
[clock]
mode = "recorded"
[random]
mode = "seeded"
[env]
HOME = "/"
[[capability]]
name = "print"
[[files]]
id = "in"
guest = "/in"
host = "in"
access = "read"
[[files]]
id = "out"
guest = "/out"
host = "out"
access = "write"
"#;

/// What a program leaves: its output, and the files in `out`.
#[derive(PartialEq)]
struct Left {
    output: String,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Left {
    #[track_caller]
    fn assert_is(&self, expected: &Self, context: &str) {
        let other = self.output.lines().zip(expected.output.lines()).find(|(is, expected)| is != expected);
        let lengths = (self.output.len(), expected.output.len());
        assert!(self.output == expected.output, "{context}: {other:?}, {lengths:?} bytes");
        let sizes = |left: &Self| {
            format!("{:?}", left.files.iter().map(|(path, bytes)| (path.clone(), bytes.len())).collect::<Vec<_>>())
        };
        assert!(self.files == expected.files, "{context}: {}, not {}", sizes(self), sizes(expected));
    }

    /// The same with databases as text: two versions of SQLite write the same one in different bytes.
    fn readable(mut self, folder: &Path) -> Self {
        for (path, content) in &mut self.files {
            if path.extension().is_some_and(|ending| ending == "db") {
                let mut dump = Command::new("sqlite3");
                *content = done(dump.arg(folder.join(path)).args([".dump", "pragma integrity_check"]));
            }
        }
        self
    }
}

/// A folder in which a program runs: its inputs, what it writes, its policy and the store of its executions.
struct Case<'a> {
    program: &'a Program,
    folder: TempDir,
}

impl<'a> Case<'a> {
    fn new(program: &'a Program) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["in", "out"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        (program.inputs)(&folder.path().join("in"), Dice(1));
        fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
        Self { program, folder }
    }

    /// Runs the program of this machine.
    fn natively(&self) -> Left {
        let installed = guests::project().join("target/programs/native/bin").join(self.program.name);
        let mut command = if installed.exists() { Command::new(installed) } else { Command::new(self.program.name) };
        let folder = self.folder.path().to_str().unwrap();
        let here = |arg: &&str| if arg.starts_with('/') { format!("{folder}{arg}") } else { (*arg).to_owned() };
        command.args(self.program.args.iter().map(here)).current_dir(folder).env("HOME", "/").stdin(Stdio::null());
        // The output of an execution is text.
        let output = String::from_utf8_lossy(&done(&mut command)).replace(folder, "");
        Left { output, files: self.files() }
    }

    /// Starts the execution, or goes on with it.
    fn start(&self) -> Child {
        let component = component(self.program.name);
        let mut run =
            everstep(self.folder.path(), &["run", component.to_str().unwrap(), "--policy", "policy.toml", "--id", "x"]);
        run.args(["--cache", concat!(env!("CARGO_TARGET_TMPDIR"), "/components"), "--"]).args(self.program.args);
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What an execution has left, after its last host.
    fn left_by(&self, last: Child) -> Left {
        let ended = last.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}: {ended:?}", self.program.name);
        let output = String::from_utf8(done(&mut everstep(self.folder.path(), &["logs", "x"]))).unwrap();
        Left { output, files: self.files() }
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![PathBuf::from("out")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(self.folder.path().join(&folder)).unwrap() {
                let entry = entry.unwrap();
                let path = folder.join(entry.file_name());
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(path),
                    false => drop(found.insert(path, fs::read(entry.path()).unwrap())),
                }
            }
        }
        found
    }
}

/// The file of a program.
fn component(name: &str) -> PathBuf {
    let path = guests::project().join("target/programs").join(format!("{name}.wasm"));
    assert!(path.is_file(), "{name} is missing: scripts/setup.sh test && scripts/programs.sh");
    path.canonicalize().unwrap()
}

fn everstep(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(beside("everstep"));
    command.args(args).args(["--store", "store"]).current_dir(folder).env_remove("EVERSTEP_LOG");
    command
}

/// What a command prints that succeeds.
#[track_caller]
fn done(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

/// Runs a program here and natively, and then with kills.
fn check(program: &Program) {
    let native = Case::new(program);
    let undisturbed = Case::new(program);
    let left = undisturbed.left_by(undisturbed.start());
    let expected = native.natively();
    assert!(
        expected.output.len() + expected.files.values().map(Vec::len).sum::<usize>() > 10_000,
        "{}",
        expected.output
    );
    let text = |left: &Left, case: &Case<'_>| {
        Left { output: left.output.clone(), files: left.files.clone() }.readable(case.folder.path())
    };
    text(&left, &undisturbed).assert_is(&text(&expected, &native), "undisturbed");
    killed::by_signal(program, &left);
}

#[test]
fn ripgrep_searches_a_folder() {
    check(&RIPGREP);
}

#[test]
fn pulldown_cmark_makes_html_of_markdown() {
    check(&MARKDOWN);
}

#[test]
fn jsonxf_lays_out_json() {
    check(&JSON);
}

#[test]
fn the_shell_of_sqlite_changes_a_database() {
    check(&SQLITE);
}
