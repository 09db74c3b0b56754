//! Serves the control socket while a host runs.

use super::{Address, Done, LONGEST_LINE, NAME, Refusal, Response};
use everstep::Everstep;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// Clients at once; one more takes the place of the one that has been silent for longest.
const CLIENTS: u32 = 64;
/// How long a request that has been read may delay the end of the host.
const GRACE: Duration = Duration::from_secs(1);
/// How long a client may be silent, and take for a request, if nobody wants its place.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a client may take to read its answer.
const READING: Duration = Duration::from_secs(5);

/// The control socket of a host; its file is removed on drop.
pub(crate) struct Server {
    socket: PathBuf,
    accepting: JoinHandle<()>,
    busy: Arc<Semaphore>,
}

impl Server {
    /// Serves the store in `store`, unless another host does: `AddrInUse`. A socket at which nobody answers was left by a dead host.
    pub(crate) fn start(store: &Path, host: Everstep) -> io::Result<Self> {
        let address = Address::of(store)?;
        if std::os::unix::net::UnixStream::connect(&address.path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        match fs::remove_file(&address.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&address.path)?;
        fs::set_permissions(&address.path, Permissions::from_mode(0o600))?;
        let busy = Arc::new(Semaphore::new(CLIENTS as usize));
        let accepting = tokio::spawn(accept(listener, host, Arc::clone(&busy)));
        Ok(Self { socket: store.join(NAME), accepting, busy })
    }

    /// Takes no more clients and answers the requests that it has begun.
    pub(crate) async fn close(self) {
        self.accepting.abort();
        // A client that does not read its answer does not keep the host.
        let _ = tokio::time::timeout(GRACE, self.busy.acquire_many(CLIENTS)).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        // A file that stays is replaced by the next host.
        let _ = fs::remove_file(&self.socket);
    }
}

async fn accept(listener: UnixListener, host: Everstep, busy: Arc<Semaphore>) {
    let (places, silent) = (Arc::new(Semaphore::new(CLIENTS as usize)), Arc::new(Silent::default()));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if places.available_permits() == 0 {
                    silent.dismiss();
                }
                // The semaphore is never closed.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let (host, busy, silent) = (host.clone(), Arc::clone(&busy), Arc::clone(&silent));
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, &host, &busy, &silent).await {
                        tracing::debug!(%error, "a control client went away");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file handles, say: clients that go away give some back.
                tracing::warn!(%error, "cannot accept a control client");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The clients whose request has not come, in the order in which they fell silent.
#[derive(Default)]
struct Silent(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    next: u64,
    clients: BTreeMap<u64, oneshot::Sender<Infallible>>,
    /// The next one to fall silent has to go: its place is wanted.
    wanted: bool,
}

impl Silent {
    /// Sends one away, the one that has been silent for longest; or the next that falls silent, when all are busy.
    fn dismiss(&self) {
        let mut waiting = self.lock();
        waiting.wanted = waiting.clients.pop_first().is_none();
    }

    /// Reads the next request of a client; none when it goes, or has to go.
    async fn request(&self, reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Vec<u8>> {
        let (sender, dismissed) = oneshot::channel();
        let number = {
            let mut waiting = self.lock();
            if std::mem::take(&mut waiting.wanted) {
                return Ok(Vec::new());
            }
            waiting.next += 1;
            let number = waiting.next;
            waiting.clients.insert(number, sender);
            number
        };
        let mut line = Vec::new();
        let mut limited = reader.take(LONGEST_LINE);
        let read = tokio::select! {
            biased;
            read = tokio::time::timeout(SILENCE, limited.read_until(b'\n', &mut line)) => read,
            _ = dismissed => Ok(Ok(0)),
        };
        let was_dismissed = self.lock().clients.remove(&number).is_none();
        if read?? == 0 {
            // What came in part is no request.
            return Ok(Vec::new());
        }
        if was_dismissed {
            // It was not silent after all: another one goes.
            self.dismiss();
        }
        Ok(line)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(stream: UnixStream, host: &Everstep, busy: &Semaphore, silent: &Silent) -> io::Result<()> {
    let client = stream.peer_cred()?.uid();
    if client != rustix::process::geteuid().as_raw() && client != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let line = silent.request(&mut reader).await?;
        if line.is_empty() {
            return Ok(());
        }
        // Held until the answer is written, so that the end of the host waits for it; the semaphore is never closed.
        let _busy = busy.acquire().await;
        let whole = line.ends_with(b"\n") || (line.len() as u64) < LONGEST_LINE;
        let response = match whole {
            true => respond(&line, host).await,
            false => Err(Refusal::request(format!("a request has at most {LONGEST_LINE} bytes"))),
        };
        let response = response.map_or_else(Response::Error, Response::Ok);
        let mut line = serde_json::to_vec(&response)?;
        line.push(b'\n');
        tokio::time::timeout(READING, writer.write_all(&line)).await??;
        if !whole {
            return Ok(());
        }
    }
}

async fn respond(line: &[u8], host: &Everstep) -> Result<Done, Refusal> {
    let request = serde_json::from_slice(line).map_err(|error| Refusal::request(format!("not a request: {error}")))?;
    super::carry_out(host, request).await
}
