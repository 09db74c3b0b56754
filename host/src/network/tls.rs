//! The authorities that certificates are checked with, and the messages for failed handshakes.

use super::Error;
use super::failure::Cause;
use crate::guest_error::Reason;
use crate::regular_file;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The system's authorities and those of PEM files.
#[derive(Clone, Default)]
pub(super) struct Authorities {
    extra: Vec<CertificateDer<'static>>,
    /// Read on first use: there are some hundred files, and most hosts never need them.
    system: Arc<OnceCell<Vec<CertificateDer<'static>>>>,
}

impl Authorities {
    /// Adds the certificates of a PEM file.
    pub(super) fn add(&mut self, file: &Path) -> Result<(), Error> {
        let text = regular_file::read(file, regular_file::POLICY)
            .map_err(|source| Error::Read { path: file.to_owned(), source })?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let certificates = certificates.map_err(|_| Error::no_certificate(file))?;
        if certificates.is_empty() {
            return Err(Error::no_certificate(file));
        }
        let bad = |source| Error::BadCertificate { path: file.to_owned(), source };
        certificates.iter().try_for_each(|one| RootCertStore::empty().add(one.clone())).map_err(bad)?;
        self.extra.extend(certificates);
        Ok(())
    }

    /// A TLS configuration with its own sessions, so that policies do not resume each other's.
    pub(super) async fn config(&self, protocols: &[&str]) -> Result<Arc<ClientConfig>, Cause> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.system.get_or_init(system).await.iter().chain(&self.extra).cloned());
        if roots.is_empty() {
            let remedy = "the host knows no certificate authorities; install its ca-certificates or pass --ca FILE";
            return Err(Cause::Connect(Reason::Certificate, remedy.to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|_| Cause::Connect(Reason::Handshake, "TLS cannot be set up".to_owned()))?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }
}

async fn system() -> Vec<CertificateDer<'static>> {
    tokio::task::spawn_blocking(|| rustls_native_certs::load_native_certs().certs).await.unwrap_or_default()
}

/// The message for a failed handshake. A certificate may contain addresses, so nothing of it is repeated.
pub(super) fn handshake_failed(error: &io::Error) -> Cause {
    let Some(rustls::Error::InvalidCertificate(certificate)) = error.get_ref().and_then(|error| error.downcast_ref())
    else {
        return Cause::Connect(Reason::Handshake, "the TLS handshake failed".to_owned());
    };
    let why = match certificate {
        CertificateError::UnknownIssuer => {
            "no authority that the host trusts signed its certificate; --ca FILE adds one"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name"
        }
        CertificateError::Revoked => "its certificate was revoked",
        _ => "its certificate cannot be trusted",
    };
    Cause::Connect(Reason::Certificate, why.to_owned())
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities").field("extra", &self.extra.len()).finish_non_exhaustive()
    }
}
