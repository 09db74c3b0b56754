//! A server of the Resonate protocol: ours in the process of the test, or the program that `EVERSTEP_TEST_RESONATE` names.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use everstep::Server as Connection;
use everstep::store::{Backend, MemoryStore};
use everstep_resonate::client::{self, Client, Http};
use everstep_resonate::{Manner, Options, Server};
use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;

/// A server on a free port, which ends with the test. It and the connections of its clients have a runtime of their own.
pub struct Served {
    /// Which server it resembles.
    pub manner: Manner,
    address: SocketAddr,
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The program, and the folder of its database.
    program: Option<(Child, TempDir)>,
}

impl Served {
    /// A server over a store that nobody has used.
    pub fn start(manner: Manner) -> Self {
        match std::env::var_os("EVERSTEP_TEST_RESONATE") {
            Some(program) => Self::start_program(&program, manner),
            None => Self::start_ours(manner),
        }
    }

    fn start_ours(manner: Manner) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                let store: Arc<dyn Backend> = Arc::new(MemoryStore::with_dialect(manner.dialect()));
                let options = Options { manner, token: None, keys: None, carrier: None, debug: false, recorder: None };
                let server = Server::start(([127, 0, 0, 1], 0).into(), store, options).await.unwrap();
                tell.send((server.address().unwrap(), Handle::current())).unwrap();
                server.run(stopped).await.unwrap().ok();
            });
            runtime.shutdown_background();
        });
        let (address, runtime) = told.recv().unwrap();
        Self { manner, address, runtime, stop: Some(stop), thread: Some(thread), program: None }
    }

    /// A server of the Resonate project, over a database in a folder. It is what it is, whatever `manner` says.
    fn start_program(program: &OsString, manner: Manner) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(program);
        command.args(["serve", "--level", "error", "--server-bind", "127.0.0.1", "--observability-metrics-port", "0"]);
        command.args(["--server-port", &address.port().to_string(), "--storage-type", "sqlite"]);
        command.arg("--storage-sqlite-path").arg(dir.path().join("db"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            tell.send(runtime.handle().clone()).unwrap();
            runtime.block_on(stopped).ok();
            runtime.shutdown_background();
        });
        let program = Some((child, dir));
        let runtime = told.recv().unwrap();
        while TcpStream::connect(address).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { manner, address, runtime, stop: Some(stop), thread: Some(thread), program }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of it.
    pub fn connect(&self) -> Connection {
        let (url, runtime) = (self.url(), self.runtime.clone());
        // A test may be within a runtime of its own.
        let connecting = std::thread::spawn(move || {
            runtime.block_on(async {
                let http = Arc::new(Http::new(&url, None).unwrap());
                let options = client::Options { patience: Duration::from_secs(20), ..client::Options::default() };
                Connection::over(Client::connect(http, options).await.unwrap())
            })
        });
        connecting.join().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
        if let Some((child, _)) = &mut self.program {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
