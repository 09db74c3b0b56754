//! A person at a terminal: what counts as an answer, what a guest can do to what the host says, and how a command is left.
//!
//! One place: it drives the program, whose store is a folder.

use crate::network::servers::ok;
use crate::python::beside;
use crate::site::Site;
use everstep_tests::guests;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder with a policy that asks about every POST to a site.
struct Desk {
    dir: TempDir,
    site: Site,
}

impl Desk {
    fn new() -> Self {
        let (dir, site) = (tempfile::tempdir().unwrap(), Site::start(|_| ok("sent")));
        fs::create_dir(dir.path().join("data")).unwrap();
        let names = ["print", "display", "input", "session"].map(|name| format!("[[capability]]\nname = \"{name}\"\n"));
        let (url, names) = (site.url("/**"), names.concat());
        let policy = format!(
            "version = 1\nname = \"terminal\"\n[limits]\ncpu = \"120s\"\nsteps = 1_000_000\nwasm_stack = \"8MiB\"\n\
             [clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n{names}\
             [[files]]\nid = \"data\"\nguest = \"/data\"\nhost = \"data\"\naccess = \"read\"\n\
             [network]\nblock = [\"non-global\"]\nallow = [\"127.0.0.1/32\"]\n\
             [[fetch]]\nid = \"site\"\nurl = \"{url}\"\nmethods = [\"GET\"]\n\
             [[ask]]\nwhen = \"fetch\"\nmethods = [\"POST\"]\nurl = \"{url}\"\n"
        );
        fs::write(dir.path().join("policy.toml"), policy).unwrap();
        Self { dir, site }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A program of Python that can send; `go()` completes once the person has done what comes before.
    fn program(&self, code: &str) {
        let url = self.site.url("/pay?to=mallory");
        let code = format!(
            "import asyncio, os\nfrom everstep import fetch\nurl = {url:?}\n\
             async def go():\n    while not os.path.exists('/data/go'): await asyncio.sleep(0.05)\n{code}\n"
        );
        fs::write(self.path().join("program.py"), code).unwrap();
    }

    fn exec(&self) -> Person {
        self.person(&["exec", "program.py", "--policy", "policy.toml", "--id", "x"])
    }

    fn repl(&self) -> Person {
        self.person(&["repl", "--policy", "policy.toml", "--id", "x"])
    }

    fn go(&self) {
        fs::write(self.path().join("data/go"), "").unwrap();
    }

    fn person(&self, args: &[&str]) -> Person {
        let mut command = Command::new("python3");
        command.arg(guests::project().join("tests/suite/terminal.py")).arg(beside("everstep")).args(args);
        command.current_dir(self.path()).env_remove("EVERSTEP_LOG").env("TERM", "xterm");
        // The history of the prompt.
        command.env("XDG_STATE_HOME", self.path().join("state"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, shown) = mpsc::channel();
        let mut stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut bytes) {
                if sender.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = child.stdin.take();
        Person { child, keys, shown, seen: Vec::new(), looked: 0 }
    }

    fn everstep(&self, args: &[&str]) -> Value {
        let mut command = Command::new(beside("everstep"));
        let done = command.args(args).current_dir(self.path()).stdin(Stdio::null()).output().unwrap();
        serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"))
    }

    /// The files of the store.
    fn store(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path().join(".everstep")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Whoever sits at the terminal of a command, which ends with them.
struct Person {
    child: Child,
    keys: Option<ChildStdin>,
    shown: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    /// Up to where was looked.
    looked: usize,
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Person {
    fn all(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Waits for the first of these texts beyond what was looked at; returns which.
    #[allow(clippy::disallowed_methods, reason = "a command that goes on says so all the time")]
    fn sees_one(&mut self, texts: &[&str]) -> usize {
        let end = Instant::now() + PATIENCE;
        loop {
            let rest = &self.seen[self.looked..];
            let found = texts.iter().enumerate().filter_map(|(at, text)| {
                let place = rest.windows(text.len()).position(|part| part == text.as_bytes())?;
                Some((place + text.len(), at))
            });
            if let Some((end, at)) = found.min() {
                self.looked += end;
                return at;
            }
            match self.shown.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(more) => self.seen.extend(more),
                Err(error) => panic!("{texts:?}: {error}, after {:?}", self.all()),
            }
        }
    }

    fn sees(&mut self, text: &str) {
        self.sees_one(&[text]);
    }

    fn types(&mut self, keys: &str) {
        let stdin = self.keys.as_mut().unwrap();
        stdin.write_all(keys.as_bytes()).and_then(|()| stdin.flush()).unwrap();
    }

    /// Closes the terminal.
    fn hangs_up(mut self) -> i32 {
        self.keys = None;
        self.ended()
    }

    /// The exit code; less than 0 is a signal that was not caught.
    fn ended(&mut self) -> i32 {
        self.sees("\nended ");
        let from = self.looked;
        self.sees(".\n");
        String::from_utf8_lossy(&self.seen[from..self.looked - 2]).parse().unwrap()
    }
}

#[test]
fn an_answer_counts_only_if_it_was_typed_after_its_question_was_shown() {
    let desk = Desk::new();
    desk.program(
        "print('Open the report? yes or no\\x1b[8m')\nawait go()\n\
         try: await fetch(url, method='POST', body='amount=1000000')\nexcept PermissionError as error: print('refused:', error)",
    );
    let mut person = desk.exec();
    person.sees("Open the report? yes or no\x1b[8m");
    person.types("yes\nyes\n");
    person.sees("yes\r\nyes\r\n");
    desk.go();
    person.sees("\x1b[0ma call waits for approval:\r\n  http.fetch POST http://127.0.0.1:");
    person.sees("/pay?to=mallory\r\n");
    person.sees("may it happen? yes or no [x.");
    person.sees("]\r\n");
    person.types("no, not that\n");
    person.sees("type yes or no");
    person.types("no not that\n");
    person.sees("refused:");
    person.sees("not that");
    assert_eq!(person.ended(), 0);
    assert_eq!(desk.site.requests().len(), 0, "{}", person.all());
}

#[test]
fn an_answer_to_one_question_is_none_to_the_next() {
    let desk = Desk::new();
    desk.program(
        "async def send(body):\n    try: return (await fetch(url, method='POST', body=body)).text\n    except PermissionError: return 'refused'\n\
         print(await asyncio.gather(send('first'), send('second')))",
    );
    let mut person = desk.exec();
    person.sees("body: first");
    person.sees("may it happen?");
    person.types("no\nyes\nyes\n");
    person.sees("body: second");
    person.sees("may it happen?");
    person.types("no\n");
    person.sees("['refused', 'refused']");
    assert_eq!(person.ended(), 0);
    assert_eq!(desk.site.requests().len(), 0, "{}", person.all());
}

#[test]
fn an_approval_shows_what_decides_first_and_all_of_it_when_asked() {
    let desk = Desk::new();
    desk.program("print((await fetch(url, method='POST', body='head\\u200b' + 'x' * 4789 + 'tail')).status)");
    let mut person = desk.exec();
    person.sees("a call waits for approval:\r\n  http.fetch POST http://127.0.0.1:");
    person.sees("/pay?to=mallory\r\n");
    person.sees("body: head\\u{200b}xxx");
    person.sees("... (3805 of 4800 bytes more)\r\n");
    person.sees("3805 bytes are left out here; all of it: type show, or: everstep promise show x.");
    person.sees("may it happen?");
    let asked = desk.everstep(&["promise", "list", "--json"])["promises"][0]["id"].as_str().unwrap().to_owned();
    let mut other = desk.person(&["promise", "show", &asked]);
    other.sees("call\r\n  http.fetch POST http://127.0.0.1:");
    other.sees("tail\r\n");
    assert_eq!(other.ended(), 0);
    let mut other = desk.person(&["promise", "list"]);
    other.sees("http.fetch POST http://127.0.0.1:");
    other.sees("/pay?to=mallory");
    other.sees("bytes more)");
    other.sees("bytes are left out; all of one: everstep promise show ID");
    assert_eq!(other.ended(), 0);
    person.types("show\n");
    person.sees("tail\r\n");
    person.sees("may it happen?");
    person.types("yes\n");
    person.sees("200");
    assert_eq!(person.ended(), 0);
    assert_eq!(desk.site.requests().len(), 1);
}

#[test]
fn at_the_prompt_an_answer_counts_only_after_its_question_too() {
    let desk = Desk::new();
    desk.program(
        "print('Open the report? yes or no\\x1b[8m')\nawait go()\n\
         try: await fetch(url, method='POST', body='amount=1000000')\nexcept PermissionError as error: print('refused:', error)",
    );
    fs::rename(desk.path().join("program.py"), desk.path().join("data/program.py")).unwrap();
    let mut person = desk.repl();
    person.sees(">>> ");
    person.types("import ast; program = compile(open('/data/program.py').read(), 'program', 'exec', ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)\r");
    person.sees(">>> ");
    person.types("await eval(program)\r");
    person.sees("Open the report? yes or no\x1b[8m");
    person.types("yes\nyes\n");
    person.sees("yes\r\nyes\r\n");
    desk.go();
    person.sees("\x1b[0ma call waits for approval:\r\n  http.fetch POST http://127.0.0.1:");
    person.sees("may it happen? yes or no [x.");
    person.sees("]: ");
    person.types("no\r");
    person.sees("refused:");
    person.sees(">>> ");
    person.types("raise SystemExit(3)\r");
    assert_eq!(person.ended(), 3);
    assert_eq!(desk.site.requests().len(), 0, "{}", person.all());
}

#[test]
fn a_pipe_decides_on_no_call_at_the_prompt() {
    let desk = Desk::new();
    let url = desk.site.url("/pay");
    let mut command = Command::new(beside("everstep"));
    command.args(["repl", "--policy", "policy.toml", "--store", "memory"]).current_dir(desk.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let typed = format!("from everstep import fetch\nawait fetch({url:?}, method='POST', body='x')\nyes\nyes\nyes\n");
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(told.contains("standard input is no terminal, so it does not decide"), "{told}");
    assert_eq!(desk.site.requests().len(), 0, "{told}");
}

#[test]
fn a_closed_terminal_leaves_the_store_as_sigterm_does() {
    let left = |end: &dyn Fn(Person) -> i32, code: i32| {
        let desk = Desk::new();
        desk.program("print('waits')\nawait go()\nprint('goes on')");
        let mut person = desk.exec();
        person.sees("waits\r\n");
        assert_eq!(end(person), code);
        let listed = desk.everstep(&["list", "--json"])["executions"][0].clone();
        let left = (listed["state"].as_str().unwrap().to_owned(), desk.store());
        desk.go();
        let mut person = desk.exec();
        person.sees("goes on\r\n");
        assert_eq!(person.ended(), 0);
        left
    };
    let terminated = left(
        &|mut person| {
            let children = format!("/proc/{0}/task/{0}/children", person.child.id());
            let child: i32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
            let child = rustix::process::Pid::from_raw(child).unwrap();
            rustix::process::kill_process(child, rustix::process::Signal::TERM).unwrap();
            person.ended()
        },
        143,
    );
    let hung_up = left(&Person::hangs_up, 129);
    assert_eq!(hung_up, terminated);
}

#[test]
fn there_is_a_way_out_of_a_cell_that_catches_everything() {
    let desk = Desk::new();
    let mut person = desk.repl();
    person.sees(">>> ");
    for line in [
        "import time",
        "def stay():",
        " while True:",
        "  try:",
        "   time.sleep(3600)",
        "  except BaseException:",
        "   print('still' 'here')",
        "",
    ] {
        person.types(&format!("{line}\r"));
        person.sees_one(&[">>> ", "... "]);
    }
    person.types("print('be' 'gun'); stay()\r");
    person.sees("begun\r\n");
    person.types("\x03");
    person.sees("stillhere");
    person.types("\x03");
    person.sees("the cell goes on; interrupt it once more to leave the session as it is");
    person.types("\x03");
    person.sees("what was recorded is kept");
    assert_eq!(person.ended(), 130);
    let mut again = desk.repl();
    again.sees("begun\r\n");
    again.sees("stillhere");
    for _ in 0..5 {
        again.types("\x03");
        if again.sees_one(&["stillhere", "what was recorded is kept"]) == 1 {
            break;
        }
    }
    assert_eq!(again.ended(), 130);
}

#[test]
fn one_line_says_what_an_interruption_has_taken_back() {
    let desk = Desk::new();
    let mut person = desk.repl();
    person.sees(">>> ");
    for line in ["def spin():", " global total", " total = 0", " while True: total += 1", ""] {
        person.types(&format!("{line}\r"));
        person.sees_one(&[">>> ", "... "]);
    }
    person.types("print('be' 'gun'); spin()\r");
    person.sees("begun\r\n");
    person.types("\x03");
    person.sees("the interruption has taken the cell back to its last call, step x.");
    person.sees("KeyboardInterrupt");
    person.sees(">>> ");
    person.types("'total' in globals()\r");
    person.sees("False\r\n");
    person.sees(">>> ");
    person.types("\x04");
    assert_eq!(person.ended(), 0);
}
