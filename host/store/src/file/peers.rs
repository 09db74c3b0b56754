//! The hosts of one folder: each has a socket in it, and a connection to every other one.
//!
//! Each message is a line of JSON. When a connection ends and the socket of the other host no longer answers, that host is gone; the
//! kernel closes both, however a process ends.

use super::lock::cannot_open;
use crate::peers::{Ear, Heard, Peers};
use crate::{Applied, Error};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The folder of the sockets, in the folder of the store.
const HOSTS: &str = "hosts";
/// The prefix of a host's name.
const PREFIX: &str = "everstep-";
/// How long a host may take to answer a greeting; one that is stopped counts as running.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest pause between checks whether a silent host is gone.
const LOOK: Duration = Duration::from_millis(500);
/// The longest message, in bytes, and how many events are in one.
const LONGEST: u64 = 64 << 20;
const EVENTS: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct FilePeers {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    dir: PathBuf,
    links: Mutex<HashMap<String, Link>>,
    /// The number of links, checked before a message is built.
    count: AtomicUsize,
    /// The roots that this host tends.
    roots: Mutex<BTreeSet<String>>,
    ended: AtomicBool,
    /// Receives the messages of the others; the last one that joined.
    ear: Mutex<Option<Weak<dyn Ear>>>,
    /// The socket that others connect to; `None` before this host has joined.
    socket: Mutex<Option<PathBuf>>,
}

/// A connection to another host.
struct Link {
    words: Sender<Arc<[u8]>>,
    says: JoinHandle<()>,
    stream: UnixStream,
    roots: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    /// The first message.
    Hello {
        name: String,
        roots: BTreeSet<String>,
    },
    Heard(Vec<Heard>),
    Tends(String),
    Leaves(String),
}

impl FilePeers {
    /// The peers of a host of the store in `dir` that has not joined yet.
    pub(super) fn new(dir: &Path) -> Self {
        #[allow(clippy::disallowed_methods, reason = "the name of a host is no part of an execution")]
        let name = format!("{PREFIX}{}", uuid::Uuid::new_v4().simple());
        let shared = Shared {
            name,
            dir: dir.join(HOSTS),
            links: Mutex::default(),
            count: AtomicUsize::new(0),
            roots: Mutex::default(),
            ended: AtomicBool::new(false),
            ear: Mutex::default(),
            socket: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Peers for FilePeers {
    fn name(&self) -> &str {
        &self.shared.name
    }

    fn join(&self, ear: Weak<dyn Ear>) -> Result<(), Error> {
        let shared = &self.shared;
        if lock(&shared.ear).replace(ear).is_some() {
            return Ok(());
        }
        let failed = |error: io::Error| cannot_open(&shared.dir, "the sockets of its hosts: ", &error);
        match DirBuilder::new().mode(0o700).create(&shared.dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        // First, so that of two hosts that join at once, one finds the other.
        let listener = shared.listen().map_err(failed)?;
        {
            let shared = Arc::clone(shared);
            spawn("everstep-hosts", move || shared.accept(&listener)).map_err(failed)?;
        }
        for entry in fs::read_dir(&shared.dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX) && *name != shared.name) else {
                continue;
            };
            match connect(&shared.dir, name) {
                Ok(stream) => shared.greet(name, stream).map_err(failed)?,
                // A dead host leaves its socket behind.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    let _ = fs::remove_file(shared.dir.join(name));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    fn is_there(&self, name: &str) -> bool {
        let shared = &self.shared;
        name == shared.name || lock(&shared.links).contains_key(name) || shared.answers(name)
    }

    fn tell(&self, applied: &[Applied]) {
        let shared = &self.shared;
        if self.is_alone() && lock(&shared.roots).is_empty() {
            return;
        }
        let heard: Vec<Heard> = applied.iter().flat_map(|applied| &applied.events).map(Heard::of).collect();
        if heard.is_empty() {
            return;
        }
        shared.forget(&heard);
        heard.chunks(EVENTS).for_each(|heard| shared.say(&Word::Heard(heard.to_vec())));
    }

    fn tend(&self, root: &str, tends: bool) {
        let changed = if tends {
            lock(&self.shared.roots).insert(root.to_owned())
        } else {
            lock(&self.shared.roots).remove(root)
        };
        if changed {
            let root = root.to_owned();
            self.shared.say(&if tends { Word::Tends(root) } else { Word::Leaves(root) });
        }
    }

    fn is_alone(&self) -> bool {
        self.shared.count.load(Ordering::Acquire) == 0
    }

    fn is_tended(&self, root: &str) -> bool {
        let shared = &self.shared;
        !self.is_alone() && lock(&shared.links).values().any(|link| link.roots.contains(root))
    }
}

impl Drop for FilePeers {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.ended.store(true, Ordering::Release);
        let Some(socket) = lock(&shared.socket).take() else { return };
        // Wakes the thread that accepts connections, which then ends.
        let _ = connect(&shared.dir, &shared.name);
        // A leftover socket is removed by the next host.
        let _ = fs::remove_file(socket);
        let links: Vec<Link> = lock(&shared.links).drain().map(|(_, link)| link).collect();
        for Link { words, says, stream, .. } in links {
            // Queued messages are still sent, unless the other host does not read.
            let _ = stream.set_write_timeout(Some(PATIENCE));
            drop(words);
            let _ = says.join();
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    /// Opens the socket of this host.
    fn listen(&self) -> io::Result<UnixListener> {
        let address = Address::of(&self.dir, &self.name)?;
        let listener = UnixListener::bind(&address.path)?;
        let path = self.dir.join(&self.name);
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        *lock(&self.socket) = Some(path);
        Ok(listener)
    }

    /// Accepts connections of other hosts.
    fn accept(self: &Arc<Self>, listener: &UnixListener) {
        while !self.ended.load(Ordering::Acquire) {
            match listener.accept() {
                Ok((stream, _)) => {
                    let shared = Arc::clone(self);
                    if let Err(error) = spawn("everstep-host", move || shared.welcome(&stream)) {
                        tracing::warn!(%error, "cannot talk to another host");
                    }
                }
                Err(error) => {
                    // For example out of file handles: hosts that end free some.
                    tracing::warn!(%error, "cannot accept another host");
                    thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    /// Talks to a host that has connected, until it is gone.
    fn welcome(&self, stream: &UnixStream) {
        let talked = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| {
            let mut words = Words::of(stream)?;
            // A host that only checks whether this one is running sends nothing.
            let Some(Word::Hello { name, roots }) = words.next()? else { return Ok(()) };
            self.link(&name, stream, roots, true)?;
            stream.set_read_timeout(None)?;
            self.listen_to(&name, words);
            Ok(())
        });
        if let Err(error) = talked {
            tracing::warn!(%error, "another host said nothing that can be understood");
        }
    }

    /// Connects to a running host, and returns once that host knows of this one.
    fn greet(self: &Arc<Self>, name: &str, mut stream: UnixStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut words = Words::of(&stream)?;
        let roots = match stream.write_all(&line(&self.hello())).and_then(|()| words.next()) {
            Ok(Some(Word::Hello { roots, .. })) => Some(roots),
            // It is ending.
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            // It is stopped: whenever it continues, it reads the tables first.
            Err(error) if is_timeout(&error) => Some(BTreeSet::new()),
            Err(error) => return Err(error),
        };
        let (shared, name) = (Arc::clone(self), name.to_owned());
        let Some(roots) = roots else {
            return spawn("everstep-host", move || shared.see_off(&name)).map(drop);
        };
        stream.set_read_timeout(None)?;
        self.link(&name, &stream, roots, false)?;
        spawn("everstep-host", move || shared.listen_to(&name, words)).map(drop)
    }

    /// Sends another host all further messages, after a greeting if it waits for one.
    fn link(&self, name: &str, stream: &UnixStream, roots: BTreeSet<String>, greets: bool) -> io::Result<()> {
        let (words, said) = channel::<Arc<[u8]>>();
        let mut writing = stream.try_clone()?;
        let says = spawn("everstep-host-words", move || {
            for word in said {
                if writing.write_all(&word).is_err() {
                    return;
                }
            }
        })?;
        let link = Link { words, says, stream: stream.try_clone()?, roots };
        let mut links = lock(&self.links);
        if greets {
            // Nothing else is sent before it.
            let _ = link.words.send(line(&self.hello()).into());
        }
        links.insert(name.to_owned(), link);
        self.count.store(links.len(), Ordering::Release);
        Ok(())
    }

    /// Receives the messages of another host until it is gone.
    fn listen_to(&self, name: &str, mut words: Words) {
        loop {
            match words.next() {
                Ok(Some(Word::Heard(heard))) => {
                    self.forget(&heard);
                    if let Some(ear) = self.ear() {
                        heard.into_iter().for_each(|heard| ear.heard(heard));
                    }
                }
                Ok(Some(Word::Tends(root))) => self.with(name, |link| _ = link.roots.insert(root)),
                Ok(Some(Word::Leaves(root))) => self.with(name, |link| _ = link.roots.remove(&root)),
                Ok(Some(Word::Hello { roots, .. })) => self.with(name, |link| link.roots = roots),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, host = name, "another host said nothing that can be understood");
                    break;
                }
            }
        }
        self.see_off(name);
    }

    /// Waits until a silent host is gone, and reports it.
    fn see_off(&self, name: &str) {
        // A process that ends closes its connections one by one.
        let mut pause = Duration::from_millis(1);
        while !self.ended.load(Ordering::Acquire) && self.answers(name) {
            thread::sleep(pause);
            pause = (pause * 2).min(LOOK);
        }
        if self.ended.load(Ordering::Acquire) {
            return;
        }
        {
            let mut links = lock(&self.links);
            links.remove(name);
            self.count.store(links.len(), Ordering::Release);
        }
        let _ = fs::remove_file(self.dir.join(name));
        if let Some(ear) = self.ear() {
            ear.gone(name);
        }
    }

    fn ear(&self) -> Option<Arc<dyn Ear>> {
        lock(&self.ear).as_ref()?.upgrade()
    }

    /// Whether the socket of a host answers.
    fn answers(&self, name: &str) -> bool {
        let is_name = name.starts_with(PREFIX) && !name.contains('/');
        is_name && connect(&self.dir, name).is_ok()
    }

    /// Forgets roots that have ended: they need not be tended any more.
    fn forget(&self, heard: &[Heard]) {
        let settled = heard.iter().filter_map(|heard| match heard {
            Heard::Settled(id) => Some(id),
            Heard::Execute { .. } | Heard::Unblock { .. } => None,
        });
        for id in settled {
            lock(&self.roots).remove(id);
            lock(&self.links).values_mut().for_each(|link| _ = link.roots.remove(id));
        }
    }

    fn hello(&self) -> Word {
        Word::Hello { name: self.name.clone(), roots: lock(&self.roots).clone() }
    }

    fn say(&self, word: &Word) {
        let links = lock(&self.links);
        if links.is_empty() {
            return;
        }
        let line: Arc<[u8]> = line(word).into();
        // A host that is gone receives nothing.
        links.values().for_each(|link| drop(link.words.send(Arc::clone(&line))));
    }

    fn with(&self, name: &str, change: impl FnOnce(&mut Link)) {
        if let Some(link) = lock(&self.links).get_mut(name) {
            change(link);
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shared").field(&self.name).finish()
    }
}

/// The messages of another host.
struct Words(BufReader<UnixStream>);

impl Words {
    fn of(stream: &UnixStream) -> io::Result<Self> {
        Ok(Self(BufReader::new(stream.try_clone()?)))
    }

    /// The next message; `None` once the host is gone.
    fn next(&mut self) -> io::Result<Option<Word>> {
        let mut line = Vec::new();
        match self.0.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Ok(0) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
            Ok(_) if line.ends_with(b"\n") => {}
            // An incomplete line is not a message.
            Ok(_) if line.len() as u64 == LONGEST => return Err(io::Error::other("a word that is too long")),
            Ok(_) => return Ok(None),
        }
        Ok(Some(serde_json::from_slice(&line)?))
    }
}

/// The address of a socket. A socket's path is limited to 108 bytes, so it leads through an open handle of the folder, which must live as
/// long as the address is used.
struct Address {
    path: PathBuf,
    _dir: File,
}

impl Address {
    fn of(dir: &Path, name: &str) -> io::Result<Self> {
        let file = File::open(dir)?;
        let handle = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        // Without `/proc` the path has to be short enough.
        let path = if handle.is_dir() { handle.join(name) } else { dir.join(name) };
        Ok(Self { path, _dir: file })
    }
}

fn connect(dir: &Path, name: &str) -> io::Result<UnixStream> {
    UnixStream::connect(&Address::of(dir, name)?.path)
}

fn line(word: &Word) -> Vec<u8> {
    // Texts always serialise.
    let mut line = serde_json::to_vec(word).unwrap_or_default();
    line.push(b'\n');
    line
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Locks a mutex. Its data is valid at every moment, so a poisoned lock is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
