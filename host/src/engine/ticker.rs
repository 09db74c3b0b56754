//! The clock that interrupts guests: one thread that advances the epoch of every engine.

use super::Error;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a running guest returns to its epoch callback.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Advances epochs until it is dropped.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    engines: Vec<wasmtime::EngineWeak>,
    stopped: bool,
}

impl Ticker {
    /// Starts the thread; it sleeps until there is an engine.
    pub(super) fn start() -> Result<Self, Error> {
        let shared = Arc::new(Shared::default());
        let ticking = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("everstep-epoch".to_owned()).spawn(move || ticking.run());
        let thread = thread.map_err(|error| Error::Engine(error.into()))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Advances the epoch of `engine` from now on.
    pub(super) fn add(&self, engine: &wasmtime::Engine) {
        self.shared.state().engines.push(engine.weak());
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state();
        while !state.stopped {
            if state.engines.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state = self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
            state.engines.retain(|engine| engine.upgrade().map(|engine| engine.increment_epoch()).is_some());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.state().stopped = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // The thread cannot have panicked: all it does is advance a list of engines.
            let _ = thread.join();
        }
    }
}
