//! A progress line on the terminal while a large component is compiled, which happens once.

use super::text::RESET;
use everstep::Compiling;
use std::io::{IsTerminal, Write, stderr};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Size of a component above which its compilation is shown, in bytes.
const LARGE: usize = 4 << 20;
const TICK: Duration = Duration::from_millis(200);

/// The line that is shown; of several components that are compiled at once, one has it. It ends with its sender.
static LINE: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>> = Mutex::new(None);

/// Shows that a component is being compiled, and for how long: that takes seconds.
pub(super) fn show(compiling: Compiling) {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    match compiling {
        Compiling::Begins { bytes } if bytes > LARGE && line.is_none() && stderr().is_terminal() => {
            let (sender, ended) = sync_channel(0);
            // On a thread of its own: the thread that compiles is busy.
            *line = Some((sender, thread::spawn(move || tell(bytes, || ended.recv_timeout(TICK)))));
        }
        Compiling::Begins { .. } => {}
        Compiling::Ends => {
            if let Some((sender, shown)) = line.take() {
                drop(sender);
                // Waits until the line has ended, before anything else is written.
                let _ = shown.join();
            }
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "how long compiling takes is shown to its user only")]
fn tell(bytes: usize, wait: impl Fn() -> Result<(), RecvTimeoutError>) {
    let begun = Instant::now();
    let write = |end: &str| {
        let (size, elapsed) = (bytes >> 20, begun.elapsed().as_secs());
        // There is no place to report an error.
        let _ = write!(stderr(), "\r{RESET}compiling {size} MB of WebAssembly, once: {elapsed} s{end}");
    };
    write("");
    while wait() == Err(RecvTimeoutError::Timeout) {
        write("");
    }
    write(", done\n");
}
