//! Outcomes of immediate steps, as bytes in a journal.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// A value that a journal can keep.
pub(crate) trait Value: Sized {
    /// The bytes to keep.
    fn to_bytes(&self) -> Cow<'_, [u8]>;

    /// The value that the bytes were made from; `None` if `to_bytes` of this type did not make them.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// Anything that serde can keep as JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl Value for () {
    fn to_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&[])
    }

    /// Ignores the bytes: a step that returns nothing to its guest may keep something for people to read.
    fn from_bytes(_: &[u8]) -> Option<Self> {
        Some(())
    }
}

impl Value for u64 {
    fn to_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.to_le_bytes().to_vec())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_le_bytes)
    }
}

impl Value for Vec<u8> {
    fn to_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }
}

impl Value for String {
    fn to_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.as_bytes())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        String::from_utf8(bytes.to_vec()).ok()
    }
}

impl<T: Serialize + DeserializeOwned> Value for Json<T> {
    fn to_bytes(&self) -> Cow<'_, [u8]> {
        // The types kept this way are plain records without maps or floats, which always serialise.
        Cow::Owned(serde_json::to_vec(&self.0).unwrap_or_default())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().map(Json)
    }
}
