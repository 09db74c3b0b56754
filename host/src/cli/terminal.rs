//! The terminal for answers, read without a buffer, so that unread input can be thrown away.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{QueueSelector, tcflush};
use std::io::{IsTerminal, stderr, stdin};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The pause after which all that was typed has arrived: a terminal delivers its input in parts.
const QUIET: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// How often a reader checks whether its line is still wanted.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A line, and how often input had been thrown away before it was read.
type Line = (u64, String);

/// Standard input, if it and standard error are terminals.
pub(super) struct Terminal {
    /// How often input was thrown away. Locked while input is read or thrown away.
    round: Arc<Mutex<u64>>,
    wanted: Sender<u64>,
    lines: UnboundedReceiver<Line>,
    /// A line is being read.
    reads: bool,
}

impl Terminal {
    /// `None` if standard input or standard error is not a terminal.
    pub(super) fn open() -> Option<Self> {
        if !stdin().is_terminal() || !stderr().is_terminal() {
            return None;
        }
        let ((wanted, asked), (sender, lines)) = (channel(), unbounded_channel());
        let round = Arc::default();
        let reader = Reader { round: Arc::clone(&round), asked, sender };
        // The thread ends with the process, or with the terminal.
        std::thread::Builder::new().name("everstep-terminal".into()).spawn(move || reader.work()).ok()?;
        Some(Self { round, wanted, lines, reads: false })
    }

    /// Throws away what was typed so far.
    pub(super) fn forget(&mut self) {
        tokio::task::block_in_place(|| {
            let mut round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
            *round += 1;
            forget_typed();
        });
        self.reads = false;
    }

    /// The next line that is typed; pends forever once the terminal is gone. Cancel-safe.
    pub(super) async fn line(&mut self) -> String {
        loop {
            let round = *self.round.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.reads {
                self.reads = self.wanted.send(round).is_ok();
            }
            match self.lines.recv().await {
                Some((of, line)) if of == round => {
                    self.reads = false;
                    return line;
                }
                // Typed before input was last thrown away.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

/// Reads a line when one is wanted, and nothing beyond it.
struct Reader {
    round: Arc<Mutex<u64>>,
    asked: Receiver<u64>,
    sender: UnboundedSender<Line>,
}

impl Reader {
    fn work(self) {
        while let Ok(round) = self.asked.recv() {
            let Ok(line) = self.line(round) else { return };
            if self.sender.send((round, line)).is_err() {
                return;
            }
        }
    }

    /// The next line; what there is of it once it is no longer wanted.
    fn line(&self, round: u64) -> std::io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            waits(&LOOK)?;
            let now = self.round.lock().unwrap_or_else(PoisonError::into_inner);
            if *now != round {
                break;
            }
            // Reads only what is there: a blocking read could not be told that its line is no longer wanted.
            if waits(&Timespec::default())? {
                let mut bytes = [0; 4096];
                let length = rustix::io::retry_on_intr(|| rustix::io::read(stdin(), &mut bytes))?;
                // Ctrl-D is not an answer.
                if length == 0 && !stdin().is_terminal() {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                line.extend_from_slice(&bytes[..length]);
            }
        }
        Ok(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned())
    }
}

/// Throws away what was typed on standard input so far.
pub(super) fn forget_typed() {
    loop {
        if tcflush(stdin(), QueueSelector::IFlush).is_err() || !waits(&QUIET).unwrap_or_default() {
            return;
        }
    }
}

/// Waits until something can be read; false if the time is over first.
fn waits(time: &Timespec) -> std::io::Result<bool> {
    let stdin = stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut polled, Some(time)))?;
    Ok(polled[0].revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR))
}
