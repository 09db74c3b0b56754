//! The signals that end a command, or make it read its ceiling again.

use super::failure::{Exit, Failure};
use std::io::{IsTerminal, stderr, stdin, stdout};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Catches SIGINT, SIGTERM and SIGHUP for as long as the process lives.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` if SIGHUP was ignored when the process started, as with `nohup`.
    hangup: Option<Signal>,
    /// Whether SIGHUP reloads the ceiling, while there is a terminal.
    reloads: bool,
    /// A reload that came while it could not be done.
    reload_is_due: bool,
    /// Whether there was a terminal at the start, which may be closed.
    had_terminal: bool,
}

/// The meaning of a signal.
pub(super) enum Came {
    /// The command ends; everything stays as the store has it.
    End(Exit),
    /// The ceiling is to be reloaded.
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

    /// Waits for the next signal. Cancel-safe.
    pub(super) async fn next(&mut self) -> Came {
        if std::mem::take(&mut self.reload_is_due) {
            return Came::Reload;
        }
        self.signal().await
    }

    /// Completes with the exit code of a signal that ends the command. A reload is kept for the next call of `next`.
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
                // A closed terminal does not ask for a reload.
                let closed = self.had_terminal && !has_terminal();
                if self.reloads && !closed { Came::Reload } else { Came::End(Exit::HungUp) }
            }
        }
    }
}

fn has_terminal() -> bool {
    stdin().is_terminal() || stdout().is_terminal() || stderr().is_terminal()
}

/// Whether SIGHUP is ignored; false if that cannot be determined.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    // SIGHUP is signal 1.
    ignored.is_some_and(|ignored| ignored & 1 == 1)
}
