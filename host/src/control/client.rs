//! Asks the host of a store.

use super::{Address, Done, LONGEST_LINE, Refusal, Request, Response};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a host may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a host did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No host serves this store.
    #[error("no host serves this store")]
    NoHost,
    /// The host refused.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The connection failed; whether the host did it is not known.
    #[error("the host of this store did not answer: {0}; look at `everstep show` before you try again")]
    Lost(#[source] io::Error),
}

/// Asks the host of the store in `store`, and waits for its answer.
pub(crate) fn request(store: &Path, request: &Request) -> Result<Done, Error> {
    let address = Address::of(store).map_err(|_| Error::NoHost)?;
    let stream = UnixStream::connect(&address.path).map_err(|error| match error.kind() {
        // A folder without a socket, or the socket that a dead host left.
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Error::NoHost,
        _ => Error::Lost(error),
    })?;
    match exchange(stream, request).map_err(Error::Lost)? {
        Response::Ok(done) => Ok(done),
        Response::Error(refusal) => Err(Error::Refused(refusal)),
    }
}

fn exchange(mut stream: UnixStream, request: &Request) -> io::Result<Response> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    if BufReader::new(stream.take(LONGEST_LINE)).read_line(&mut answer)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&answer)?)
}
