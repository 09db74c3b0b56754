//! Connections of guests, for every capability that makes one: names resolved once, addresses filtered, connections pinned.
//!
//! - [`address`] is the pure rule about addresses, which policies state.
//! - `resolve` queries the name servers; `tls` holds the authorities that certificates are checked with.
//! - `connect` goes from a URL to a stream: resolve, filter, connect to what is left, secure.
//! - `failure` is the cause of a failure, and whether anything had been sent.
//!
//! Nothing here knows of HTTP or WebSocket, of rules over URLs, or of the journal.

mod connect;
mod failure;
mod resolve;
mod tls;

pub(crate) use connect::{Dialer, Io};
pub use everstep_policy::address;
pub use failure::{Cause, Failure};

use address::{Class, Rules};
use resolve::Resolver;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tls::Authorities;

/// How a host reaches the network: its name servers and the authorities that it trusts. Cheap to clone; clones share what was
/// read from the system.
#[derive(Clone, Debug, Default)]
pub struct Options {
    resolver: Resolver,
    authorities: Authorities,
    /// Which addresses the host reaches, whatever a policy permits; `None`: those that the policy does.
    bounds: Arc<RwLock<Option<Rules>>>,
}

impl Options {
    /// The name servers and authorities of the system. They are read when they are first needed.
    pub fn system() -> Self {
        Self::default()
    }

    /// Queries these name servers, over UDP and TCP, instead of the system's; the system's `hosts` file is ignored,
    /// too.
    #[must_use]
    pub fn with_name_servers(mut self, servers: &[SocketAddr]) -> Self {
        self.resolver = Resolver::with_servers(servers);
        self
    }

    /// The same, with bounds of its own.
    #[must_use]
    pub(crate) fn unbounded(self) -> Self {
        Self { bounds: Arc::default(), ..self }
    }

    /// Sets, replaces or removes the address rules that hold in addition to those of each policy; also for connections that are open and
    /// used again.
    pub(crate) fn bound(&self, rules: Option<Rules>) {
        *self.bounds.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn check(&self, address: IpAddr) -> Result<(), Class> {
        let bounds = self.bounds.read().unwrap_or_else(PoisonError::into_inner);
        bounds.as_ref().map_or(Ok(()), |rules| rules.check(address))
    }

    /// Trusts the authorities of these PEM files, too.
    pub fn with_authorities(mut self, files: &[PathBuf]) -> Result<Self, Error> {
        for file in files {
            self.authorities.add(file)?;
        }
        Ok(self)
    }
}

/// The reason that the network options cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of authorities cannot be read.
    #[error(
        "the file of certificate authorities {} cannot be read; name a PEM file that exists",
        crate::visible::path(path)
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file of authorities contains no certificate.
    #[error(
        "{} holds no certificate; it must be PEM, with a line -----BEGIN CERTIFICATE-----",
        crate::visible::path(path)
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate cannot be used.
    #[error("a certificate in {} cannot be used as an authority; it may be damaged", crate::visible::path(path))]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rustls::Error,
    },
}

impl Error {
    fn no_certificate(path: &Path) -> Self {
        Self::NoCertificate { path: path.to_owned() }
    }
}
