//! TLS in front of the server of this crate.

use super::{Served, options};
use crate::Manner;
use crate::client::{Client, Error, Http, Options};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The URL of a TLS end in front of a server, and the authority of its certificate.
async fn secured(served: &Served) -> (String, RootCertStore) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (acceptor, to) = (TlsAcceptor::from(Arc::new(config)), served.address);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate goes away.
                let Ok(mut client) = acceptor.accept(stream).await else { return };
                let mut server = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    (url, roots)
}

#[tokio::test]
async fn a_certificate_is_checked() {
    let served = Served::start(Manner::A).await;
    let (url, roots) = secured(&served).await;
    let trusting = |roots| Arc::new(Http::trusting(roots, &url, None).unwrap());
    assert!(Client::connect(trusting(roots), options()).await.is_ok());
    let once = Options { patience: Duration::ZERO, ..options() };
    let error = Client::connect(trusting(RootCertStore::empty()), once).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }));
    assert!(error.to_string().contains("certificate"), "{error}");
}
