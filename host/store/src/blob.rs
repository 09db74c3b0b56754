//! Content-addressed bytes, which need not be read to be stored or run.

use bytes::Bytes;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Bytes in memory, or bytes that are read only when they are needed. Cheap to clone.
#[derive(Clone)]
pub struct Blob(Content);

type Read = dyn Fn() -> io::Result<Bytes> + Send + Sync;

#[derive(Clone)]
enum Content {
    Held(Bytes),
    Elsewhere { length: u64, read: Arc<Read> },
}

impl Blob {
    /// `length` bytes that `read` returns, the same every time, or an error.
    pub fn elsewhere(length: u64, read: impl Fn() -> io::Result<Bytes> + Send + Sync + 'static) -> Self {
        Self(Content::Elsewhere { length, read: Arc::new(read) })
    }

    /// The bytes. May block.
    ///
    /// # Errors
    /// They cannot be read, or have changed.
    pub fn bytes(&self) -> io::Result<Bytes> {
        match &self.0 {
            Content::Held(bytes) => Ok(bytes.clone()),
            Content::Elsewhere { read, .. } => read(),
        }
    }

    /// The number of bytes.
    pub fn length(&self) -> u64 {
        match &self.0 {
            Content::Held(bytes) => bytes.len() as u64,
            Content::Elsewhere { length, .. } => *length,
        }
    }
}

impl<B: Into<Bytes>> From<B> for Blob {
    fn from(bytes: B) -> Self {
        Self(Content::Held(bytes.into()))
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.length())
    }
}
