//! Components as they are given to a host: bytes, or a file whose bytes are read only if its digest is not known.

use crate::engine::{Cache, begins_as_component, wall_clock};
use crate::id::Digest;
use crate::regular_file;
use bytes::Bytes;
use everstep_store::Blob;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A component, as `everstep build` writes it. Cheap to clone; the digest is computed once.
#[derive(Clone, Debug)]
pub struct Component {
    pub(super) digest: Digest,
    pub(super) content: Blob,
}

/// Below this size a file is read as fast as its digest is looked up, in bytes.
const WORTH_NOTING: u64 = 1 << 20;

/// The bytes at the start of a file that tell what it is, with some blanks before a text.
const HEAD: usize = 64;

impl Component {
    /// The component in a file. If `cache`, the folder given to [`Builder::cache`](crate::Builder::cache), knows the digest
    /// of the unchanged file, the file is read only when its bytes are needed.
    ///
    /// # Errors
    /// The file cannot be read, is no regular file, has more than 512 MiB, or does not begin as a component does.
    pub fn open(path: &Path, cache: Option<&Path>) -> io::Result<Self> {
        let file = regular_file::open(path, regular_file::COMPONENT)?;
        let before = file.metadata()?;
        let mut head = [0; HEAD];
        let length = file.read_at(&mut head, 0)?;
        begins_as_component(&head[..length]).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let cache = cache.filter(|_| before.len() >= WORTH_NOTING).and_then(Cache::open);
        if let Some(digest) = cache.as_ref().and_then(|cache| cache.digest(&before)) {
            let length = before.len();
            let content = Blob::elsewhere(length, move || unchanged(&file, length, digest));
            return Ok(Self { digest, content });
        }
        let component = Self::from(regular_file::read_from(&file, regular_file::COMPONENT)?);
        if let Some(cache) = cache {
            cache.note([&before, &file.metadata()?], component.digest, wall_clock());
        }
        Ok(component)
    }

    /// The identity of the component: the SHA-256 of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl<B: Into<Bytes>> From<B> for Component {
    fn from(bytes: B) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of(&bytes), content: bytes.into() }
    }
}

fn unchanged(file: &File, length: u64, digest: Digest) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    if Digest::of(&bytes) != digest {
        return Err(io::Error::other("the file of the component has changed since it was opened; start again"));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_file_whose_digest_is_noted_is_read_when_it_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, folder) = (dir.path().join("guest.wasm"), dir.path().join("cache"));
        let mut bytes = vec![7; WORTH_NOTING as usize];
        bytes[..8].copy_from_slice(b"\0asm\x0d\0\x01\0");
        std::fs::write(&path, &bytes).unwrap();
        let read = Component::open(&path, Some(&folder)).unwrap();
        assert_eq!((read.digest, read.content.bytes().unwrap().len()), (Digest::of(&bytes), bytes.len()));
        let cache = Cache::open(&folder).unwrap();
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!(cache.digest(&found), None, "the file was written a moment ago");
        cache.note([&found; 2], read.digest, wall_clock() + Duration::from_secs(10));
        let noted = Component::open(&path, Some(&folder)).unwrap();
        assert_eq!((noted.digest, noted.content.bytes().unwrap()), (read.digest, bytes.clone().into()));
        bytes[9] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = noted.content.bytes().unwrap_err();
        assert!(error.to_string().contains("changed since it was opened"), "{error}");
        assert_eq!(Component::open(&path, Some(&folder)).unwrap().digest, Digest::of(&bytes));
    }
}
