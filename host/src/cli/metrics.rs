//! `--metrics` of the commands that stay: a page for Prometheus.

use super::{Failure, complain};
use everstep::Everstep;
use everstep::store::metrics::MEDIA_TYPE;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// `--metrics`.
#[derive(clap::Args)]
pub(super) struct MetricsArg {
    /// Serve metrics for Prometheus at this address, under /metrics, to whoever reaches it; port 0 takes a free one
    #[arg(long = "metrics", value_name = "ADDR")]
    metrics: Option<SocketAddr>,
}

/// Serves the page until it is dropped.
pub(super) struct Serving(JoinHandle<()>);

/// The most connections at once.
const CONNECTIONS: usize = 64;

/// How long a client may take for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);

impl MetricsArg {
    /// Whether the metrics are to be served.
    pub(super) fn is_wanted(&self) -> bool {
        self.metrics.is_some()
    }

    /// Starts to serve the metrics of a host, if that is wanted.
    ///
    /// # Errors
    /// The address is not available.
    pub(super) async fn serve(&self, host: &Everstep) -> Result<Option<Serving>, Failure> {
        let Some(address) = self.metrics else { return Ok(None) };
        let unable = |error| Failure::usage(format!("cannot serve metrics on {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(unable)?;
        complain(&format!("metrics at http://{}/metrics", listener.local_addr().map_err(unable)?));
        Ok(Some(Serving(tokio::spawn(accept(listener, host.clone())))))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn accept(listener: TcpListener, host: Everstep) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let place = Arc::clone(&places).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let host = host.clone();
                tokio::spawn(async move {
                    connection(stream, host).await;
                    drop(place);
                });
            }
            // For example out of file handles: clients that disconnect free some.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a reader of metrics");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, host: Everstep) {
    let service = service_fn(move |request| {
        let host = host.clone();
        async move { Ok::<_, Infallible>(answer(&request, &host).await) }
    });
    let mut builder = http1::Builder::new();
    let builder = builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    // A reader that goes away is of no interest.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: &Request<Incoming>, host: &Everstep) -> Response<String> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            let host = host.clone();
            match tokio::task::spawn_blocking(move || host.metrics()).await {
                Ok(text) => (StatusCode::OK, text),
                Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be read\n".to_owned()),
            }
        }
        _ => (StatusCode::NOT_FOUND, "there is nothing here but GET /metrics\n".to_owned()),
    };
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}
