//! The signals that end a command, or have it read its ceiling again.

use super::failure::{Exit, Failure};
use std::io::{IsTerminal, stderr, stdin, stdout};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Catches SIGINT, SIGTERM and SIGHUP as long as the process lives.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None where whoever started the process has it ignored, as `nohup` does.
    hangup: Option<Signal>,
    /// Whether SIGHUP has the ceiling read again, while the terminal is there.
    reloads: bool,
    /// That came while nobody could do it.
    reload_is_due: bool,
    /// Whether a terminal was there at the start, which can go away.
    had_terminal: bool,
}

/// What a signal means.
pub(super) enum Came {
    /// The command ends; everything stays as the store has it.
    End(Exit),
    /// The ceiling is to be read again.
    Reload,
}

impl Signals {
    pub(super) fn start(reloads: bool) -> Result<Self, Failure> {
        let caught = |kind| signal(kind).map_err(Failure::io("cannot handle signals"));
        let hangup = if reloads || !hangup_is_ignored() { Some(caught(SignalKind::hangup())?) } else { None };
        Ok(Self {
            interrupt: caught(SignalKind::interrupt())?,
            terminate: caught(SignalKind::terminate())?,
            hangup,
            reloads,
            reload_is_due: false,
            had_terminal: has_terminal(),
        })
    }

    /// What the next signal means. Nothing is lost when it is given up.
    pub(super) async fn next(&mut self) -> Came {
        if std::mem::take(&mut self.reload_is_due) {
            return Came::Reload;
        }
        self.signal().await
    }

    /// Completes with the exit code of a signal that ends the command. What else came is for the next one who asks.
    pub(super) async fn end(&mut self) -> Exit {
        loop {
            match self.signal().await {
                Came::Reload => self.reload_is_due = true,
                Came::End(exit) => return exit,
            }
        }
    }

    async fn signal(&mut self) -> Came {
        let hangup = async {
            match &mut self.hangup {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Came::End(Exit::Interrupted),
            _ = self.terminate.recv() => Came::End(Exit::Terminated),
            () = hangup => {
                // A terminal that was closed asks for no ceiling.
                let closed = self.had_terminal && !has_terminal();
                if self.reloads && !closed { Came::Reload } else { Came::End(Exit::HungUp) }
            }
        }
    }
}

fn has_terminal() -> bool {
    stdin().is_terminal() || stdout().is_terminal() || stderr().is_terminal()
}

/// Where that cannot be told, it is not.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    // SIGHUP is the first.
    ignored.is_some_and(|ignored| ignored & 1 == 1)
}
