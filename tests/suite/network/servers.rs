//! Listeners that answer by script, byte for byte, so that they can lie.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

/// A listener, and what it saw. It ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    task: AbortHandle,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    /// Connections that the script closed.
    closed: AtomicUsize,
    requests: Mutex<Vec<Received>>,
    /// Bytes that clients took.
    taken: AtomicU64,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The request line and the headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// One thing to do with a connection; after the last of a request, the next request is read.
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Again and again.
    Repeat(Vec<u8>),
    /// Never anything again.
    Stall,
    Close,
}

impl Server {
    /// Listens on a port of `127.0.0.1`.
    pub(crate) async fn start(reply: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", reply).await
    }

    /// Listens on this address.
    pub(crate) async fn at(address: &str, reply: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let reply = Arc::new(reply);
        Self::each(address, move |stream, seen| {
            let reply = Arc::clone(&reply);
            async move { drop(serve(stream, &seen, &*reply).await) }
        })
        .await
    }

    /// Listens on a port of `127.0.0.1` with a certificate of this authority.
    pub(crate) async fn secure(
        authority: &Authority,
        reply: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let (acceptor, reply) = (authority.acceptor(&[b"http/1.1"]), Arc::new(reply));
        Self::each("127.0.0.1:0", move |stream, seen| {
            let (acceptor, reply) = (acceptor.clone(), Arc::clone(&reply));
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    drop(serve(stream, &seen, &*reply).await);
                }
            }
        })
        .await
    }

    /// Does something with every connection.
    pub(crate) async fn with<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::each("127.0.0.1:0", move |stream, _| serve(stream)).await
    }

    async fn each<F>(address: &str, serve: impl Fn(TcpStream, Arc<Seen>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, seen, task: task.abort_handle() }
    }

    /// The URL of a path on this server, by its address.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// How many connections the script closed.
    pub(crate) fn closed(&self) -> usize {
        self.seen.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// How many bytes its clients took; what lies in buffers of the system counts.
    pub(crate) fn taken(&self) -> u64 {
        self.seen.taken.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Received {
    /// The values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// Method and target.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap().trim_end_matches(" HTTP/1.1")
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    seen: &Seen,
    reply: &(impl Fn(&Received) -> Vec<Step> + Sync),
) -> io::Result<()> {
    loop {
        let received = receive(&mut stream).await?;
        let steps = reply(&received);
        seen.requests.lock().unwrap().push(received);
        for step in steps {
            let (bytes, times) = match step {
                Step::Send(bytes) => (bytes, 1),
                Step::Repeat(bytes) => (bytes, usize::MAX),
                Step::Stall => std::future::pending().await,
                Step::Close => {
                    stream.shutdown().await?;
                    seen.closed.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
            };
            for _ in 0..times {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                seen.taken.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            }
        }
    }
}

async fn receive<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let mut received = Received { head: String::from_utf8(head).unwrap(), body: Vec::new() };
    if let Some(length) = received.header("content-length").first().map(|length| length.parse().unwrap()) {
        received.body = vec![0; length];
        stream.read_exact(&mut received.body).await?;
    }
    Ok(received)
}

/// Bytes as they are.
pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Vec<Step> {
    vec![Step::Send(bytes.into())]
}

/// A whole response.
pub(crate) fn response(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<Step> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    raw(bytes)
}

pub(crate) fn ok(body: &str) -> Vec<Step> {
    response("200 OK", &[], body.as_bytes())
}

pub(crate) fn redirect(status: u16, location: &str) -> Vec<Step> {
    response(&format!("{status} Redirect"), &[("location", location)], b"")
}

/// A certificate authority, and the PEM file that names it.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// The names that its certificates are for.
const NAMES: [&str; 2] = ["server.test", "127.0.0.1"];

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Authorities are told apart by their names.
        params.distinguished_name.push(DnType::CommonName, format!("authority at {}", folder.path().display()));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What a server of one of the names proves itself with.
    pub(crate) fn acceptor(&self, protocols: &[&[u8]]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let names = NAMES.map(str::to_owned).to_vec();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}
