//! HTTP and WebSocket clients against servers that lie, without wasm.
//!
//! - `servers` are listeners on loopback addresses that answer by script; `dns` is a name server that does.
//! - `addresses` is about where connections may lead, `redirects` about where they are led.
//! - `responses` is about what servers send, `connections` about reuse, HTTP/2 and TLS.
//! - `smuggling` is about messages in which two parties can see two different ones.
//! - `websocket` is about connections that stay.
//! - `namespace` repeats what loopback addresses cannot show in a network namespace with real private and metadata addresses.
//!
//! One place: a client alone has none.

mod addresses;
mod connections;
pub(crate) mod dns;
mod namespace;
mod redirects;
mod responses;
pub(crate) mod servers;
mod smuggling;
mod websocket;

use everstep::GuestError;
use everstep::capability::http::{Bounds, Client, Hops, Request, Response};
use everstep::network::address::Rules;
use everstep::network::{Cause, Failure, Options};
use everstep::policy::url::Target;
use std::time::Duration;

/// Long enough for what succeeds on a busy machine; nothing here waits for it.
const AMPLE: Duration = Duration::from_secs(30);

/// Rules that permit these ranges beside what is global.
fn allow(ranges: &[&str]) -> Rules {
    Rules { block: Vec::new(), allow: ranges.iter().map(|range| range.parse().unwrap()).collect() }
}

/// A client that reaches `127.0.0.1`, and no other address of the machine.
fn client() -> Client {
    Client::new(&Options::system(), allow(&["127.0.0.1"]))
}

fn bounds() -> Bounds {
    Bounds { timeout: AMPLE, connect: AMPLE, max_response: 1 << 20, redirects: 5, ..Bounds::default() }
}

fn target(url: &str) -> Target {
    Target::parse(url).unwrap_or_else(|fault| panic!("{url}: {fault}"))
}

fn request(method: &str, url: &str) -> Request {
    Request { method: method.into(), url: target(url), headers: Vec::new(), body: Vec::new().into(), secret: None }
}

async fn get(client: &Client, url: &str) -> Result<Response, Failure> {
    client.send(request("GET", url), &bounds(), &mut AnyHop).await
}

/// The cause of a failure that must be one.
fn cause<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> Cause {
    outcome.unwrap_err().cause
}

/// Lets every redirect happen.
struct AnyHop;

impl Hops for AnyHop {
    fn decide(&mut self, _method: &str, _url: &Target) -> Result<(), GuestError> {
        Ok(())
    }
}
