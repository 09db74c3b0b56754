//! An HTTP/2 connection that limits the informational responses of each stream, because the protocol library keeps all of them
//! until the response comes.

use super::pool::MOST_INTERIM;
use crate::network::Io;
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See the module.
pub(super) struct Guarded {
    io: Io,
    frames: Frames,
}

/// The state of the frames that arrived (RFC 9113, section 4.1).
#[derive(Default)]
struct Frames {
    /// The header of the next frame, as far as it has arrived.
    header: [u8; HEADER],
    arrived: usize,
    /// Bytes of its payload that are still to come.
    payload: usize,
    /// The number of header frames that each stream has received.
    heads: HashMap<u32, usize>,
}

const HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const END_STREAM: u8 = 1;

/// The response and its trailers, besides informational responses.
const MOST_HEADS: usize = MOST_INTERIM + 2;

/// More streams than a client opens.
const MOST_STREAMS: usize = 4096;

impl Guarded {
    pub(super) fn new(io: Io) -> Self {
        Self { io, frames: Frames::default() }
    }
}

impl Frames {
    /// Follows the frames in `bytes`. `None` if a stream has received too many.
    fn follow(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let length = self.payload.min(bytes.len());
                self.payload -= length;
                bytes = bytes.get(length..)?;
                continue;
            }
            let length = (HEADER - self.arrived).min(bytes.len());
            let (head, rest) = bytes.split_at_checked(length)?;
            self.header.get_mut(self.arrived..self.arrived + length)?.copy_from_slice(head);
            self.arrived += length;
            bytes = rest;
            if self.arrived == HEADER {
                self.arrived = 0;
                self.begin()?;
            }
        }
        Some(())
    }

    /// Begins a frame whose header is complete.
    fn begin(&mut self) -> Option<()> {
        let [a, b, c, kind, flags, d, e, f, g] = self.header;
        self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes([d & 0x7f, e, f, g]);
        if kind == HEADERS {
            let heads = self.heads.entry(stream).or_default();
            *heads += 1;
            if *heads > MOST_HEADS || self.heads.len() > MOST_STREAMS {
                return None;
            }
        }
        if kind == RESET || matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            self.heads.remove(&stream);
        }
        Some(())
    }
}

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { io, frames } = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(io).poll_read(cx, buffer))?;
        let arrived = buffer.filled().get(before..).unwrap_or_default();
        let flooded = || io::Error::new(io::ErrorKind::InvalidData, "too many informational answers");
        Poll::Ready(frames.follow(arrived).ok_or_else(flooded))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn a_stream_gets_a_few_heads_however_they_are_cut() {
        let interim = frame(HEADERS, 4, 1, b"\x08\x03103");
        for piece in [1, 2, 7, 9, 1000] {
            let mut frames = Frames::default();
            let fine = interim.repeat(MOST_HEADS);
            assert!(fine.chunks(piece).all(|bytes| frames.follow(bytes).is_some()), "{piece}");
            assert!(frames.follow(&interim).is_none(), "{piece}");
        }
    }

    #[test]
    fn streams_are_counted_apart_and_forgotten_at_their_end() {
        let mut frames = Frames::default();
        for _ in 0..3 {
            for stream in [1, 3, 5] {
                for _ in 0..MOST_HEADS - 1 {
                    assert!(frames.follow(&frame(HEADERS, 4, stream, b"xy")).is_some());
                }
                // Data that look like a header frame are not one.
                assert!(frames.follow(&frame(DATA, 0, stream, &frame(HEADERS, 4, stream, b"").repeat(20))).is_some());
            }
            frames.follow(&frame(DATA, END_STREAM, 1, b"")).unwrap();
            frames.follow(&frame(HEADERS, END_STREAM | 4, 3, b"x")).unwrap();
            frames.follow(&frame(RESET, 0, 5, b"abcd")).unwrap();
            assert!(frames.heads.is_empty());
        }
    }
}
