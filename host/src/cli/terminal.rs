//! The terminal that answers are typed on, read without a buffer: what is not read yet can be thrown away.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{QueueSelector, tcflush};
use std::io::{IsTerminal, stderr, stdin};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How long nothing may come until everything that was typed has come: a terminal hands its input on in parts.
const QUIET: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// How often a reader looks whether its line is still wanted.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A line, and how often everything had been thrown away before it was read.
type Line = (u64, String);

/// Standard input, where it is a terminal, and so is standard error.
pub(super) struct Terminal {
    /// How often everything was thrown away. Held while something is read, or thrown away.
    round: Arc<Mutex<u64>>,
    wanted: Sender<u64>,
    lines: UnboundedReceiver<Line>,
    /// A line is being read.
    reads: bool,
}

impl Terminal {
    /// None when nobody sits there.
    pub(super) fn open() -> Option<Self> {
        if !stdin().is_terminal() || !stderr().is_terminal() {
            return None;
        }
        let ((wanted, asked), (sender, lines)) = (channel(), unbounded_channel());
        let round = Arc::default();
        let reader = Reader { round: Arc::clone(&round), asked, sender };
        // It ends with the process, or with the terminal.
        std::thread::Builder::new().name("everstep-terminal".into()).spawn(move || reader.work()).ok()?;
        Some(Self { round, wanted, lines, reads: false })
    }

    /// Throws away what was typed until now.
    pub(super) fn forget(&mut self) {
        tokio::task::block_in_place(|| {
            let mut round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
            *round += 1;
            forget_typed();
        });
        self.reads = false;
    }

    /// The next line that is typed; waits for ever once the terminal is gone. Nothing is lost when it is given up.
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
                // Typed before what was asked last.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

/// Reads a line when one is wanted, and never beyond it.
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

    /// The next line; what there is of it once it is wanted no more.
    fn line(&self, round: u64) -> std::io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            waits(&LOOK)?;
            let now = self.round.lock().unwrap_or_else(PoisonError::into_inner);
            if *now != round {
                break;
            }
            // Only what is there: a read that waits could not be told that its line is wanted no more.
            if waits(&Timespec::default())? {
                let mut bytes = [0; 4096];
                let length = rustix::io::retry_on_intr(|| rustix::io::read(stdin(), &mut bytes))?;
                // Ctrl-D is no answer.
                if length == 0 && !stdin().is_terminal() {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                line.extend_from_slice(&bytes[..length]);
            }
        }
        Ok(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned())
    }
}

/// Throws away what was typed on standard input until now.
pub(super) fn forget_typed() {
    loop {
        if tcflush(stdin(), QueueSelector::IFlush).is_err() || !waits(&QUIET).unwrap_or_default() {
            return;
        }
    }
}

/// Whether something can be read before the time is over.
fn waits(time: &Timespec) -> std::io::Result<bool> {
    let stdin = stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut polled, Some(time)))?;
    Ok(polled[0].revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR))
}
