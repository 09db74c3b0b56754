//! `everstep serve`.

use super::place::{Place, StoreArg};
use super::push::{Allowed, Post};
use super::signals::Signals;
use super::watch::block_on;
use super::{Exit, Failure, Outcome, complain};
use everstep::clock::SystemClock;
use everstep::store::{Backend, FileStore, MemoryStore};
use everstep_resonate::{Carrier, Keys, Manner, Options, Recorder, Server};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Serve a store over the Resonate protocol
///
/// Workers of the Resonate SDKs share promises, tasks and schedules through it. It is for development, tests, and a single machine. Hosts that
/// run executions of the store, such as `everstep resume --stay`, may run at the same time.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8001")]
    listen: SocketAddr,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    manner: MannerArg,
    /// For tests: the time is `resonate:debug_time` in the head of a request, and advances with `debug.tick`
    #[arg(long)]
    debug: bool,
}

/// How a store is served.
#[derive(clap::Args)]
pub(super) struct MannerArg {
    /// The server of the protocol to resemble
    #[arg(long, value_name = "NAME", default_value = "permissive")]
    dialect: Manner,
    /// A file with the bearer token that every request must carry [default: no token, on this machine only]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A PEM file with the public key (RSA, EC or Ed25519) that verifies the JSON web token of every request
    #[arg(long, value_name = "FILE")]
    auth_key: Option<PathBuf>,
    /// The required issuer of these tokens
    #[arg(long, value_name = "TEXT", requires = "auth_key")]
    auth_issuer: Option<String>,
    /// The required audience of these tokens
    #[arg(long, value_name = "TEXT", requires = "auth_key")]
    auth_audience: Option<String>,
    /// Send messages to the URLs below this one, or to any URL at a public address; may be repeated [default: none]
    #[arg(long, value_name = "URL|any")]
    push: Vec<Allowed>,
    /// A file with the bearer token to send to the URLs that --push names
    #[arg(long, value_name = "FILE", requires = "push")]
    push_token_file: Option<PathBuf>,
    /// Also trust the certificate authorities in this PEM file when messages are sent; may be repeated
    #[arg(long, value_name = "FILE", requires = "push")]
    push_ca: Vec<PathBuf>,
    /// Append each exchange to this file, as a line of JSON; it holds what they hold, but no tokens
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  everstep serve
  everstep serve --listen 0.0.0.0:8001 --token-file token --store /var/lib/everstep
  everstep serve --listen 0.0.0.0:8001 --auth-key issuer.pem --auth-audience everstep
  everstep serve --push https://workers.example.org/functions --push-token-file token";

pub(crate) fn run(args: Args) -> Outcome {
    let Args { listen, store: StoreArg { store: place }, manner, debug } = args;
    if debug && place != Place::Memory {
        return Err(Failure::usage("times that tests make up are for a store that ends with them; use --store memory"));
    }
    let server = manner.check(listen, debug)?;
    block_on(async move {
        let mut signals = Signals::start(false)?;
        server.start(&place).await?.run(signals.end()).await.map_err(failed)
    })
}

/// A server that is about to listen.
pub(super) struct Ready {
    listen: SocketAddr,
    options: Options,
    /// The file of the record.
    record: Option<PathBuf>,
}

impl MannerArg {
    /// Reads the named files.
    ///
    /// # Errors
    /// A file is not valid, or requests without a token could come from other machines.
    pub(super) fn check(self, listen: SocketAddr, debug: bool) -> Result<Ready, Failure> {
        let Self { dialect: manner, push, push_ca, .. } = &self;
        let token = self.token_file.as_deref().map(token).transpose()?;
        let keys = self.auth_key.as_deref().map(|file| self.keys(file)).transpose()?;
        if token.is_none() && keys.is_none() && !listen.ip().is_loopback() {
            return Err(Failure::usage(format!(
                "{listen} is not of this machine alone, and whoever reaches it may do everything; use --token-file, --auth-key, or 127.0.0.1"
            )));
        }
        let push_token = self.push_token_file.as_deref().map(self::token).transpose()?;
        let carrier: Option<Arc<dyn Carrier>> = match &push[..] {
            [] => None,
            allowed => Some(Arc::new(Post::new(allowed.to_vec(), push_token, push_ca)?)),
        };
        let clock = Arc::new(SystemClock);
        let options = Options { manner: *manner, token, keys, carrier, clock, debug, recorder: None };
        Ok(Ready { listen, options, record: self.record })
    }

    fn keys(&self, file: &Path) -> Result<Keys, Failure> {
        let shown = everstep::visible::path(file);
        let read = everstep::regular_file::read_text(file, 64 << 10)
            .map_err(Failure::io(format!("cannot read the public key {shown}")))?;
        let keys = Keys::read(&read, self.auth_issuer.as_deref(), self.auth_audience.as_deref());
        keys.map_err(|why| Failure::usage(format!("{shown} {why}")))
    }
}

impl Ready {
    /// Starts listening, and prints the address.
    ///
    /// # Errors
    /// The store cannot be opened, or the address is not available.
    pub(super) async fn start(self, place: &Place) -> Result<Server, Failure> {
        let Self { listen, mut options, record } = self;
        options.recorder = record.map(|file| recorder(&file, place)).transpose()?;
        let dialect = options.manner.dialect();
        let opened = |error: everstep::store::Error| Failure::from(everstep::Error::from(error));
        let store: Arc<dyn Backend> = match place {
            Place::Memory => Arc::new(MemoryStore::with_dialect(dialect)),
            Place::Folder(dir) => Arc::new(FileStore::open_with_dialect(dir, dialect).map_err(opened)?),
            Place::Server(url) => return Err(Failure::usage(format!("{url} is a server already; serve a folder"))),
        };
        let unable = |error: anyhow::Error| Failure::usage(format!("cannot serve on {listen}: {error:#}"));
        let server = Server::start(listen, store, options).await.map_err(unable)?;
        let address = server.address().map_err(Failure::io("cannot tell the address"))?;
        complain(&format!("serving {} on http://{address}", name(place)));
        Ok(server)
    }
}

/// The error of a server whose store has failed.
pub(super) fn failed(error: String) -> Failure {
    Failure { kind: "store".into(), message: error, exit: Exit::Usage }
}

fn name(place: &Place) -> String {
    match place {
        Place::Memory => "memory".to_owned(),
        Place::Folder(dir) => everstep::visible::path(dir),
        Place::Server(url) => url.clone(),
    }
}

/// The record in a file. A store in memory begins a new one.
fn recorder(file: &Path, place: &Place) -> Result<Recorder, Failure> {
    let doing = format!("cannot record to {}", everstep::visible::path(file));
    let recorder = Recorder::append(file).map_err(Failure::io(doing.clone()))?;
    match place {
        Place::Memory if !recorder.is_new() => {
            Err(Failure::usage(format!("{doing}: it holds the record of another store; name a new file")))
        }
        _ => Ok(recorder),
    }
}

/// The token: the first line of a file.
fn token(file: &Path) -> Result<String, Failure> {
    let shown = everstep::visible::path(file);
    let read = everstep::regular_file::read_text(file, 64 << 10)
        .map_err(Failure::io(format!("cannot read the token {shown}")))?;
    match read.lines().next().map(str::trim) {
        Some(token) if !token.is_empty() => Ok(token.to_owned()),
        _ => Err(Failure::usage(format!("{shown} has no token in its first line"))),
    }
}
