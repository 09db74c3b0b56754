//! From a URL to a stream: resolves the name once, filters the addresses, and connects to one that passed.

use super::Options;
use super::address::{Class, Rules};
use super::failure::Cause;
use super::tls;
use crate::guest_error::Reason;
use crate::policy::url::Target;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Makes connections under the address rules of one policy.
#[derive(Debug)]
pub(crate) struct Dialer {
    options: Options,
    rules: Rules,
    protocols: &'static [&'static str],
    tls: OnceCell<Arc<ClientConfig>>,
}

/// A connection, encrypted if the URL asks for it.
#[derive(Debug)]
pub(crate) struct Io {
    /// The address of the other end.
    pub(crate) address: SocketAddr,
    /// The protocol that the server chose.
    pub(crate) protocol: Option<Vec<u8>>,
    stream: Stream,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The shortest time for one of several addresses.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(250);

impl Dialer {
    /// A dialer that offers these protocols (ALPN) on TLS connections.
    pub(crate) fn new(options: &Options, rules: Rules, protocols: &'static [&'static str]) -> Self {
        Self { options: options.clone(), rules, protocols, tls: OnceCell::new() }
    }

    /// Connects to the target of `url`; `within` covers all attempts. `tried` is set to the address last connected
    /// to, or the first that was refused.
    pub(crate) async fn dial(
        &self,
        url: &Target,
        within: Duration,
        tried: &mut Option<SocketAddr>,
    ) -> Result<Io, Cause> {
        let connected = timeout(within, self.connect(url, within, tried)).await;
        connected.unwrap_or_else(|_| Err(late()))
    }

    async fn connect(&self, url: &Target, within: Duration, tried: &mut Option<SocketAddr>) -> Result<Io, Cause> {
        let addresses = self.permitted(url, tried).await?;
        let stream = first_of(&addresses, url.port(), within, tried).await?;
        let address = stream.peer_addr().map_err(|error| lost(&error))?;
        // Small requests leave at once; a socket without this option still works.
        let _ = stream.set_nodelay(true);
        if !matches!(url.scheme(), "https" | "wss") {
            return Ok(Io { address, protocol: None, stream: Stream::Plain(stream) });
        }
        let config = self.tls.get_or_try_init(|| self.options.authorities.config(self.protocols)).await?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(server_name(url)?, stream).await;
        let stream = stream.map_err(|error| tls::handshake_failed(&error))?;
        let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        Ok(Io { address, protocol, stream: Stream::Tls(Box::new(stream)) })
    }

    /// Checks that the policy and the host permit a connection to an address.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Class> {
        self.rules.check(address).and_then(|()| self.options.check(address))
    }

    /// The addresses that may be connected to, at least one.
    async fn permitted(&self, url: &Target, tried: &mut Option<SocketAddr>) -> Result<Vec<IpAddr>, Cause> {
        let mut addresses = match url.ip() {
            Some(address) => vec![address],
            None => self.options.resolver.lookup(url.host()).await?,
        };
        let mut refused = None;
        addresses.retain(|address| match self.check(*address) {
            Ok(()) => true,
            Err(class) => {
                refused.get_or_insert((class, *address));
                false
            }
        });
        match refused {
            Some((class, address)) if addresses.is_empty() => {
                *tried = Some(SocketAddr::new(address, url.port()));
                Err(Cause::Refused(class))
            }
            _ => Ok(addresses),
        }
    }
}

/// The first connection that succeeds; the addresses share the time.
async fn first_of(
    addresses: &[IpAddr],
    port: u16,
    within: Duration,
    tried: &mut Option<SocketAddr>,
) -> Result<TcpStream, Cause> {
    let share = within / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = Cause::NotFound;
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        *tried = Some(address);
        last = match timeout(share.max(SHORTEST_ATTEMPT), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => lost(&error),
            Err(_) => late(),
        };
    }
    Err(last)
}

fn late() -> Cause {
    Cause::Connect(Reason::Unconnected, "no connection was made in time".to_owned())
}

/// The kind of an error, whose text contains no address.
fn lost(error: &io::Error) -> Cause {
    let reason = match error.kind() {
        io::ErrorKind::ConnectionRefused => Reason::Refused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Reason::Unreachable,
        io::ErrorKind::TimedOut => Reason::Unconnected,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::NotConnected => Reason::Lost,
        _ => Reason::Other,
    };
    Cause::Connect(reason, error.kind().to_string())
}

fn server_name(url: &Target) -> Result<ServerName<'static>, Cause> {
    if let Some(address) = url.ip() {
        return Ok(ServerName::IpAddress(address.into()));
    }
    let name = ServerName::try_from(url.host().to_owned());
    name.map_err(|_| Cause::Invalid("no certificate can be issued for this host name".to_owned()))
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
