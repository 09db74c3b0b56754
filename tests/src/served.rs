//! A server of the Resonate protocol: ours in the process of the test, or the one of the Resonate project that the environment gives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use crate::relay::Relay;
use crate::resonate::{Given, Program};
use everstep::Server as Connection;
use everstep::clock::{Clock, SystemClock};
use everstep::store::operation::{Dialect, Operation, Page, Reply};
use everstep::store::record::{TaskState, Value};
use everstep::store::{Backend, MemoryStore};
use everstep_resonate::client::{self, Client, Http};
use everstep_resonate::{Manner, Options, Server};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{oneshot, watch};

/// A server on a free port, which ends with the test. It and the connections of its clients have a runtime of their own.
pub struct Served {
    /// Which server it resembles.
    pub manner: Manner,
    address: SocketAddr,
    runtime: Handle,
    clock: Arc<Replaceable>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    theirs: Option<Theirs>,
}

/// A server of the Resonate project, behind a relay.
struct Theirs {
    relay: Arc<Relay>,
    program: Option<Started>,
}

/// A program that was started for this.
struct Started {
    name: OsString,
    running: Mutex<(Program, bool)>,
    dir: TempDir,
}

impl Served {
    /// A server over a store that nobody has used.
    pub fn start(manner: Manner) -> Self {
        match Given::from_environment() {
            Some(given) => Self::start_theirs(given),
            None => Self::start_ours(manner),
        }
    }

    fn start_ours(manner: Manner) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let clock = Arc::new(Replaceable::default());
        let of_server: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let thread = std::thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                let store: Arc<dyn Backend> = Arc::new(MemoryStore::with_dialect(manner.dialect()));
                let (token, keys, carrier, recorder) = (None, None, None, None);
                let options = Options { manner, token, keys, carrier, clock: of_server, debug: false, recorder };
                let server = Server::start(([127, 0, 0, 1], 0).into(), store, options).await.unwrap();
                tell.send((server.address().unwrap(), Handle::current())).unwrap();
                server.run(stopped).await.unwrap().ok();
            });
            runtime.shutdown_background();
        });
        let (address, runtime) = told.recv().unwrap();
        Self { manner, address, runtime, clock, stop: Some(stop), thread: Some(thread), theirs: None }
    }

    /// A server of the Resonate project. It is what it is, whatever `manner` a test would like.
    fn start_theirs(given: Given) -> Self {
        let (server, word, program) = match given {
            Given::Program(name) => {
                let dir = tempfile::tempdir().unwrap();
                let program = Program::start(&name, dir.path(), Program::free_port(), false);
                let server = program.address().to_string();
                (server, String::new(), Some(Started { name, running: Mutex::new((program, false)), dir }))
            }
            Given::At(server) => {
                let word = format!("t{:016x}-", RandomState::new().hash_one(std::process::id()));
                (server, word, None)
            }
        };
        let relay = Relay::to(server, word);
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let starts = Arc::clone(&relay);
        let thread = std::thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                tell.send((starts.start().await, Handle::current())).unwrap();
                stopped.await.ok();
            });
            runtime.shutdown_background();
        });
        let (address, runtime) = told.recv().unwrap();
        let (clock, theirs) = (Arc::default(), Some(Theirs { relay, program }));
        let (stop, thread) = (Some(stop), Some(thread));
        let mut served = Self { manner: Manner::A, address, runtime, clock, stop, thread, theirs };
        served.manner = match served.ask(async |client| client.dialect()) {
            Dialect::A => Manner::A,
            Dialect::B => Manner::B,
            Dialect::C => Manner::C,
        };
        served
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of it.
    pub fn connect(&self) -> Connection {
        Connection::over(self.ask(async |client| client))
    }

    /// Lets its time be that of a clock.
    ///
    /// # Panics
    /// It ran already before the test.
    pub fn set_clock(&self, clock: Arc<dyn Clock>) {
        if let Some(Theirs { relay, program }) = &self.theirs {
            let program = program.as_ref().expect("a test that sets the clock of a server is in `deviations::CLOCKED`");
            relay.set_clock(Arc::clone(&clock));
            let mut running = program.running.lock().unwrap_or_else(PoisonError::into_inner);
            if !running.1 {
                let port = running.0.address().port();
                running.0.stop();
                *running = (Program::start(&program.name, program.dir.path(), port, true), true);
                self.runtime.spawn(Arc::clone(relay).tick());
            }
        }
        self.clock.0.send_replace(clock);
    }

    /// Gives back what workers hold, as it happens when their leases have ended.
    pub fn end_leases(&self) {
        self.ask(async |client| {
            loop {
                let page = Page { limit: Some(1000), cursor: None };
                let held = Operation::TaskSearch { state: Some(TaskState::Acquired), page };
                let Ok(Reply::Tasks(held, _)) = client.operate(&held).await.unwrap().answer else {
                    unreachable!("a search finds tasks")
                };
                if held.is_empty() {
                    return;
                }
                for task in held {
                    let release = Operation::TaskRelease { id: task.id, version: task.version };
                    // A last request of a host that is gone may have been faster.
                    let _ = client.operate(&release).await.unwrap();
                }
            }
        });
    }

    /// The bytes of all that its promises hold.
    pub fn held(&self) -> usize {
        self.ask(async |client| {
            let (mut held, mut cursor) = (0, None);
            loop {
                let page = Page { limit: Some(1000), cursor };
                let search = Operation::PromiseSearch { state: None, tags: BTreeMap::new(), page };
                let Ok(Reply::Promises(found, next)) = client.operate(&search).await.unwrap().answer else {
                    unreachable!("a search finds promises")
                };
                let data = |value: &Value| value.data.as_ref().map_or(0, String::len);
                held += found.iter().map(|one| one.id.len() + data(&one.param) + data(&one.value)).sum::<usize>();
                if next.is_none() {
                    return held;
                }
                cursor = next;
            }
        })
    }

    /// Does something with a client.
    fn ask<T: Send>(&self, body: impl AsyncFnOnce(Client) -> T + Send) -> T {
        let url = self.url();
        let options = client::Options { patience: Duration::from_secs(20), ..client::Options::default() };
        let asking = || {
            self.runtime.block_on(async {
                let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
                let http = Http::new(&url, None).unwrap().with_clock(clock);
                let client = Client::connect(Arc::new(http), options).await.unwrap();
                body(client).await
            })
        };
        // A test may be within a runtime of its own.
        std::thread::scope(|scope| scope.spawn(asking).join().unwrap())
    }
}

/// A clock that another one can take the place of.
struct Replaceable(watch::Sender<Arc<dyn Clock>>);

impl Default for Replaceable {
    fn default() -> Self {
        Self(watch::Sender::new(Arc::new(SystemClock)))
    }
}

impl Clock for Replaceable {
    fn now_ms(&self) -> u64 {
        self.0.borrow().now_ms()
    }

    fn sleep_until(&self, deadline_ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let mut clocks = self.0.subscribe();
            loop {
                let clock = Arc::clone(&clocks.borrow_and_update());
                tokio::select! {
                    () = clock.sleep_aside(deadline_ms) => return,
                    // The sender is alive: it is `self`.
                    _ = clocks.changed() => {}
                }
            }
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
