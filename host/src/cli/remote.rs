//! The server of the Resonate protocol that a command works on.

use super::Failure;
use everstep::Server;
use std::sync::OnceLock;
use tokio::runtime::Runtime;

/// The variable with the bearer token for the server.
const TOKEN: &str = "EVERSTEP_TOKEN";

/// Connects to the server at a URL.
///
/// # Errors
/// The server cannot be reached, or is none.
pub(crate) fn connect(url: &str) -> Result<Server, Failure> {
    // Its connections outlive the part of a command that makes them.
    static CONNECTIONS: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let start = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = match CONNECTIONS.get_or_init(start) {
        Ok(runtime) => runtime,
        Err(error) => return Err(Failure::usage(format!("cannot start the runtime: {error}"))),
    };
    let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
    let connecting = Server::connect(url, token);
    // The command may be within a runtime of its own, which must not be blocked from within.
    let connected = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(connecting)).join());
    match connected {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(Failure::usage("the connection to the server could not be made")),
    }
}
