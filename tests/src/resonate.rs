//! The server of the Resonate project that the tests are told to run against, in place of ours: a program, or one that runs already.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Names the program: each place starts one, over a database that nobody has used.
const PROGRAM: &str = "EVERSTEP_TEST_RESONATE";
/// Names the server that runs already: each place has ids of its own there.
const URL: &str = "RESONATE_URL";

/// The file of the database of a program, in its folder.
pub const DATABASE: &str = "resonate.db";

/// A server that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A program.
    Program(OsString),
    /// One that runs already, as `host:port`.
    At(String),
}

impl Given {
    /// What the environment says.
    ///
    /// # Panics
    /// The URL is none of HTTP without a path.
    pub fn from_environment() -> Option<Self> {
        if let Some(program) = std::env::var_os(PROGRAM) {
            return Some(Self::Program(program));
        }
        let url = std::env::var(URL).ok()?;
        let host = url.strip_prefix("http://").map(|host| host.trim_end_matches('/'));
        let host = host.filter(|host| host.contains(':') && !host.contains('/'));
        Some(Self::At(host.unwrap_or_else(|| panic!("{URL} is as http://127.0.0.1:8001, not {url:?}")).to_owned()))
    }
}

/// A server as a process, which ends with this.
#[derive(Debug)]
pub struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    /// A port that is free at the moment.
    pub fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    /// Starts it over the database in a folder. In debug mode the time of each request is what it says, and deadlines are looked at when the
    /// server is told to.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(program: &OsString, dir: &Path, port: u16, debug: bool) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = Command::new(program);
        command.args(["serve", "--level", "error", "--server-bind", "127.0.0.1", "--observability-metrics-port", "0"]);
        command.args(["--server-port", &port.to_string(), "--storage-type", "sqlite"]);
        command.arg("--storage-sqlite-path").arg(dir.join(DATABASE));
        if debug {
            command.args(["--debug", "--timeouts-poll-interval", &u32::MAX.to_string()]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{} has ended at once: {status}", program.display());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it.
    pub fn stop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
    }
}
