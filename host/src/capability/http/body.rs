//! Reads the body of a response as it arrives, decodes it, and limits its length.

use super::headers::folded;
use crate::network::Cause;
use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use futures::{Stream, StreamExt};
use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, BufReader};
use tokio::time::{Sleep, sleep};
use tokio_util::io::StreamReader;

/// The codings that are offered to servers.
pub(super) const ACCEPTED: &str = "gzip, br, zstd, deflate";

/// The most codings that may be applied to a body.
const MOST_CODINGS: usize = 2;

/// Largest window of zstd, as a power of two: the size that RFC 8878 requires of every decoder.
const LARGEST_WINDOW: u32 = 23;

/// How much is decoded at once, in bytes.
const PIECE: usize = 16 << 10;

/// How a body is read.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// The most bytes, counted after decoding.
    pub(super) max: u64,
    /// Whether to refuse a body that cannot be decoded, because it may hold a secret.
    pub(super) guarded: bool,
    /// How long nothing may arrive.
    pub(super) silence: Option<Duration>,
}

/// A body that was read to its end.
pub(super) struct Read {
    /// The body, decoded.
    pub(super) body: Vec<u8>,
    /// Bytes that arrived.
    pub(super) received: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Reads and decodes a body; removes those `headers` that only apply to the encoded body. Data after the end of an encoded body
/// is read and ignored. A body in a coding that the host did not ask for is passed on as it is, unless the reading is guarded.
pub(super) async fn read(headers: &mut HeaderMap, body: Incoming, reading: Reading) -> Result<Read, Cause> {
    let Reading { max, guarded, silence } = reading;
    let codings = match codings(headers)? {
        Some(codings) => codings,
        None if guarded => return Err(Cause::Unsearchable("its body is in a coding that the host cannot decode")),
        None => Vec::new(),
    };
    // A compressed body may be a little longer than its content, and may even have none.
    let most = if codings.is_empty() { max } else { max.saturating_add(max / 8).saturating_add(PIECE as u64) };
    let mut arriving = Arriving { body, received: 0, most, max, silence, patience: None };
    let body = match arriving.next().await.transpose().map_err(cause)? {
        Some(first) if codings.is_empty() => plain(first, &mut arriving).await?,
        Some(first) => decoded(first, &mut arriving, &codings, max).await?,
        None => Vec::new(),
    };
    if !codings.is_empty() {
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
    }
    Ok(Read { body, received: arriving.received })
}

/// Reads a body of at most `max` bytes to its end, so that its connection can be used again. Returns whether it
/// ended.
pub(super) async fn skip(body: Incoming, max: u64) -> bool {
    let mut arriving = Arriving { body, received: 0, most: max, max, silence: None, patience: None };
    while let Some(piece) = arriving.next().await {
        if piece.is_err() {
            return false;
        }
    }
    true
}

async fn plain(first: Bytes, arriving: &mut Arriving) -> Result<Vec<u8>, Cause> {
    let mut body = Vec::from(first);
    while let Some(piece) = arriving.next().await {
        body.extend_from_slice(&piece.map_err(cause)?);
    }
    Ok(body)
}

async fn decoded(first: Bytes, arriving: &mut Arriving, codings: &[Coding], max: u64) -> Result<Vec<u8>, Cause> {
    let pieces = futures::stream::iter([Ok(first)]).chain(&mut *arriving);
    let mut reader: Pin<Box<dyn AsyncBufRead + Send + '_>> = Box::pin(StreamReader::new(pieces));
    for coding in codings.iter().rev() {
        reader = Box::pin(BufReader::with_capacity(PIECE, decoder(*coding, reader)));
    }
    let mut body = Vec::new();
    let read = reader.take(max.saturating_add(1)).read_to_end(&mut body).await;
    read.map_err(cause)?;
    if body.len() as u64 > max {
        return Err(Cause::TooLarge { max });
    }
    while let Some(piece) = arriving.next().await {
        piece.map_err(cause)?;
    }
    Ok(body)
}

fn decoder<'a>(coding: Coding, reader: Pin<Box<dyn AsyncBufRead + Send + 'a>>) -> Pin<Box<dyn AsyncRead + Send + 'a>> {
    match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(reader);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Coding::Deflate => Box::pin(ZlibDecoder::new(reader)),
        Coding::Brotli => Box::pin(BrotliDecoder::new(reader)),
        Coding::Zstd => {
            let mut decoder = ZstdDecoder::with_params(reader, &[DParameter::window_log_max(LARGEST_WINDOW)]);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
    }
}

/// The codings in the order in which they were applied; `None` if the host cannot decode one of them.
fn codings(headers: &HeaderMap) -> Result<Option<Vec<Coding>>, Cause> {
    let mut codings = Vec::new();
    let mut known =
        headers.keys().all(|name| name == CONTENT_ENCODING || folded(name.as_str()) != CONTENT_ENCODING.as_str());
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.as_bytes().split(|byte| *byte == b',') {
            match name.trim_ascii().to_ascii_lowercase().as_slice() {
                b"" | b"identity" => {}
                b"gzip" | b"x-gzip" => codings.push(Coding::Gzip),
                b"deflate" => codings.push(Coding::Deflate),
                b"br" => codings.push(Coding::Brotli),
                b"zstd" => codings.push(Coding::Zstd),
                _ => known = false,
            }
        }
    }
    if !known {
        return Ok(None);
    }
    if codings.len() > MOST_CODINGS {
        return Err(Cause::BadResponse(format!("its body is encoded more than {MOST_CODINGS} times")));
    }
    Ok(Some(codings))
}

/// The pieces of a body as they arrive, at most `most` bytes of them.
struct Arriving {
    body: Incoming,
    received: u64,
    most: u64,
    /// The limit that the guest's error names.
    max: u64,
    /// How long nothing may arrive, and what is left of it.
    silence: Option<Duration>,
    patience: Option<Pin<Box<Sleep>>>,
}

impl Stream for Arriving {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    let Some(silence) = self.silence else { return Poll::Pending };
                    let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(silence)));
                    ready!(patience.as_mut().poll(cx));
                    return Poll::Ready(Some(Err(io::Error::other(Carried(Cause::Silent)))));
                }
            };
            self.patience = None;
            let piece = match frame {
                None => return Poll::Ready(None),
                Some(Ok(frame)) => frame.into_data(),
                Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(Carried(interrupted(&error)))))),
            };
            // A frame that is not data holds trailers, and a piece may be empty.
            let Some(piece) = piece.ok().filter(|piece| !piece.is_empty()) else { continue };
            self.received = self.received.saturating_add(piece.len() as u64);
            if self.received > self.most {
                let max = self.max;
                return Poll::Ready(Some(Err(io::Error::other(Carried(Cause::TooLarge { max })))));
            }
            return Poll::Ready(Some(Ok(piece)));
        }
    }
}

fn interrupted(error: &hyper::Error) -> Cause {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let malformed =
        source.is_some_and(|source| matches!(source.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData));
    if malformed || error.is_parse() {
        return Cause::BadResponse("its body is malformed".to_owned());
    }
    Cause::Interrupted("the connection was lost before the body was complete".to_owned())
}

/// A cause on its way through the decoders.
#[derive(Debug)]
struct Carried(Cause);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Error for Carried {}

/// The cause that was carried, or one for an error of a decoder.
fn cause(error: io::Error) -> Cause {
    match error.downcast::<Carried>() {
        Ok(Carried(cause)) => cause,
        Err(_) => Cause::BadResponse("its body is not encoded as its headers say".to_owned()),
    }
}
