//! Programs as people and models write them for code interpreters, in `tests/corpus`: each prints what CPython prints, undisturbed, and
//! killed at a random moment and resumed. `NAME.out` is what CPython 3.11 prints of `NAME.py`, or the version that its first line names. Those
//! whose name begins with `requests_` have that package, and the URL of a server (`shop`) as their argument.
//!
//! One place: it drives the program, whose store is a folder.

mod shop;

use crate::python::beside;
use crate::python_packages::Desk;
use crate::site::Site;
use everstep_tests::guests;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tempfile::TempDir;

/// How many there are.
const PROGRAMS: usize = 200;
/// How many processes run at the same time.
const AT_ONCE: usize = 4;
/// How many programs of a hundred are running when they are killed, at least.
const KILLED: usize = 20;

/// A program and what CPython prints of it.
struct Program {
    file: PathBuf,
    expected: String,
    /// What follows its name in a command.
    more: Vec<String>,
}

/// What programs with `requests` need.
struct Shop {
    site: Site,
    desk: Desk,
}

impl Shop {
    fn open() -> Self {
        let (desk, _) = Desk::with_real_packages();
        let site = Site::start(shop::answer);
        let policy = format!(
            "version = 1\n[limits]\nwasm_stack = \"8MiB\"\n[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n\
             [[capability]]\nname = \"print\"\n[network]\nallow = [\"127.0.0.1/32\"]\n[[fetch]]\nid = \"shop\"\n\
             methods = [\"GET\", \"POST\", \"PUT\"]\nurl = \"{}/**\"\non_crash = \"retry\"\n",
            site.url("")
        );
        std::fs::write(desk.path("policy.toml"), policy).unwrap();
        // Compiled once, and not by several programs at a time.
        let compiled = desk.run(&["exec", "--python", "real.wasm", "--store", "memory", "-c", "1"]);
        assert!(compiled.status.success(), "{compiled:?}");
        Self { site, desk }
    }

    /// What follows the name of a program.
    fn arguments(&self) -> Vec<String> {
        let path = |name: &str| self.desk.path(name).to_str().unwrap().to_owned();
        let options = ["--python".to_owned(), path("real.wasm"), "--policy".to_owned(), path("policy.toml")];
        [self.site.url("")].into_iter().chain(options).collect()
    }
}

impl Program {
    fn all(shop: &Shop) -> Vec<Self> {
        let folder = guests::project().join("tests/corpus");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|ending| ending == "py")).collect();
        files.sort();
        let read = |file: PathBuf| {
            let is_client = file.file_name().unwrap().to_str().unwrap().starts_with("requests_");
            let more = if is_client { shop.arguments() } else { Vec::new() };
            Self { expected: std::fs::read_to_string(file.with_extension("out")).unwrap(), file, more }
        };
        files.into_iter().map(read).collect()
    }

    fn exec(&self, folder: &Path, store: &str) -> Command {
        let mut command = Command::new(beside("everstep"));
        command.arg("exec").arg(&self.file).args(&self.more).args(["--store", store, "--id", "program"]);
        command.current_dir(folder);
        command.env_remove("EVERSTEP_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What differs, if anything does.
    fn compare(&self, output: &Output) -> Result<(), String> {
        let printed = String::from_utf8_lossy(&output.stdout);
        if output.status.success() && printed == self.expected {
            return Ok(());
        }
        let (expected, said) = (&self.expected, String::from_utf8_lossy(&output.stderr));
        Err(format!("{}: {}\nexpected:\n{expected}\nprinted:\n{printed}\n{said}", self.file.display(), output.status))
    }

    /// Runs it undisturbed; then once more, killed at a random moment of as long a run, and resumed. Whether it was running still.
    #[allow(clippy::disallowed_methods, reason = "kills come at points of real time")]
    fn check(&self, dice: &mut Dice) -> Result<bool, String> {
        let (folder, begun) = (folder(), Instant::now());
        self.compare(&self.exec(folder.path(), "memory").output().unwrap())?;
        let moment = begun.elapsed().mul_f64(dice.below(1000) as f64 / 1000.0);
        let exec = || self.exec(folder.path(), "store");
        let mut host = exec().spawn().unwrap();
        std::thread::sleep(moment);
        host.kill().unwrap();
        let killed = host.wait_with_output().unwrap();
        let before = String::from_utf8_lossy(&killed.stdout);
        if !self.expected.starts_with(&*before) {
            return Err(format!("{}: before the kill it printed:\n{before}", self.file.display()));
        }
        let rest = exec().output().unwrap();
        if !self.expected.ends_with(&*String::from_utf8_lossy(&rest.stdout)) {
            self.compare(&rest)?;
        }
        // All of it, as it is on record.
        let mut logs = Command::new(beside("everstep"));
        logs.args(["logs", "program", "--store", "store"]).current_dir(folder.path());
        self.compare(&logs.output().unwrap())?;
        Ok(killed.status.signal() == Some(9))
    }
}

/// A folder in memory if there is one: what survives a killed process does not depend on a disk.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Random numbers that are the same in each run of the tests (xorshift).
struct Dice(u64);

impl Dice {
    fn new(seed: usize) -> Self {
        Self((seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn below(&mut self, end: usize) -> usize {
        for shift in [13, -7, 17_i32] {
            self.0 ^= if shift > 0 { self.0 << shift } else { self.0 >> -shift };
        }
        (self.0 % end.max(1) as u64) as usize
    }
}

/// Does something with each program, several at once. What came of it, or what was wrong with some of them.
fn each<T: Send>(work: impl Fn(usize, &Program) -> Result<T, String> + Sync) -> Vec<T> {
    let shop = Shop::open();
    let (programs, next) = (Program::all(&shop), AtomicUsize::new(0));
    let run = || {
        let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        numbers.map_while(|number| Some(work(number, programs.get(number)?))).collect::<Vec<_>>()
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(run)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!((results.len(), programs.len()), (PROGRAMS, PROGRAMS));
    let (good, wrong): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let wrong: Vec<_> = wrong.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} of {} programs:\n{}", wrong.len(), programs.len(), wrong.join("\n"));
    good.into_iter().filter_map(Result::ok).collect()
}

#[test]
fn every_program_prints_what_cpython_prints_also_killed_and_resumed() {
    let killed = each(|number, program| program.check(&mut Dice::new(number)));
    let running = killed.iter().filter(|running| **running).count();
    println!("{running} of {} programs were running when they were killed", killed.len());
    assert!(running * 100 >= killed.len() * KILLED, "{running} of {}: the kills came too late", killed.len());
}
