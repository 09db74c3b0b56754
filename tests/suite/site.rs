//! A server that outlives the hosts of a test: it has a runtime of its own.

use crate::network::servers::{Authority, Received, Server, Step};
use std::net::SocketAddr;
use std::ops::Deref;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// See the module.
pub(crate) struct Site {
    server: Server,
    _runtime: Runtime,
}

impl Site {
    /// A server on loopback that answers each request by script.
    pub(crate) fn start(reply: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(Server::start(reply));
        Self { server, _runtime: runtime }
    }

    /// The same with a certificate of this authority.
    pub(crate) fn secure(
        authority: &Authority,
        reply: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(Server::secure(authority, reply));
        Self { server, _runtime: runtime }
    }

    /// A server that does something with every connection.
    pub(crate) fn with<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(Server::with(serve));
        Self { server, _runtime: runtime }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }
}

impl Deref for Site {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
