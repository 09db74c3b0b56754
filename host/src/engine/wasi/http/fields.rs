//! Headers: names in the guest's spelling and values as bytes, in order. Whoever holds those of a request or a response shares them, and cannot
//! change them.

use super::generated::wasi::http::types::{self, HeaderError};
use super::{Kept, Virtual, WasiHost};
use hyper::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use std::sync::Arc;
use wasmtime::component::Resource;

/// A handle to headers.
#[derive(Debug)]
pub struct Fields {
    pub(super) entries: Arc<Entries>,
    pub(super) is_mutable: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) list: Vec<Entry>,
    bytes: usize,
    kept: Kept,
}

/// A name and a value.
pub(super) type Entry = (String, Vec<u8>);

/// The most fields of one handle, and the most bytes of their names and values: more than any request may have, so that a guest which never stops
/// is told early.
const MOST: usize = 1_000;
const MOST_BYTES: usize = 256 << 10;

/// What an entry takes beside its name and value, in bytes.
const OVERHEAD: u64 = 64;

fn size(name: &str, value: &[u8]) -> usize {
    name.len() + value.len()
}

/// What that many entries with so many bytes take.
fn taken(entries: usize, bytes: usize) -> u64 {
    entries as u64 * OVERHEAD + bytes as u64
}

fn is(name: &str) -> impl Fn(&Entry) -> bool {
    move |entry| entry.0.eq_ignore_ascii_case(name)
}

impl Fields {
    /// Those of a request or a response, for a guest that looks at them.
    pub(super) fn shared(entries: &Arc<Entries>) -> Self {
        Self { entries: Arc::clone(entries), is_mutable: false }
    }

    fn mutable(&mut self) -> Result<&mut Entries, HeaderError> {
        let entries = self.is_mutable.then(|| Arc::get_mut(&mut self.entries));
        entries.flatten().ok_or(HeaderError::Immutable)
    }
}

impl Entries {
    /// The only value of that name, or the first of several.
    pub(super) fn first(&self, name: &str) -> Option<&[u8]> {
        self.list.iter().find(|entry| is(name)(entry)).map(|(_, value)| value.as_slice())
    }

    /// Removes the fields of that name.
    fn remove(&mut self, name: &str) {
        self.list.retain(|entry| !is(name)(entry));
        self.bytes = self.list.iter().map(|(name, value)| size(name, value)).sum();
        self.kept.shrink_to(taken(self.list.len(), self.bytes));
    }

    /// Whether a field of that size may be added.
    fn has_room(&self, more: usize) -> bool {
        self.list.len() < MOST && self.bytes + more <= MOST_BYTES
    }
}

impl<T: WasiHost> Virtual<'_, T> {
    /// Fields that nothing has checked: those of a response.
    pub(super) fn entries(&mut self, list: Vec<Entry>) -> wasmtime::Result<Option<Arc<Entries>>> {
        let bytes = list.iter().map(|(name, value)| size(name, value)).sum();
        let kept = self.keep(taken(list.len(), bytes))?;
        Ok(kept.map(|kept| Arc::new(Entries { list, bytes, kept })))
    }

    fn new_fields(&mut self, list: Vec<Entry>) -> wasmtime::Result<Resource<Fields>> {
        let entries = self.entries(list)?;
        let entries = entries
            .ok_or_else(|| wasmtime::format_err!("the headers of the guest are too large: {}", super::no_room()))?;
        Ok(self.0.wasi().table.push(Fields { entries, is_mutable: true })?)
    }

    /// Checks a field that the guest wants to set.
    fn check(&self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::InvalidSyntax)?;
        HeaderValue::from_bytes(value).map_err(|_| HeaderError::InvalidSyntax)?;
        if parsed == CONTENT_LENGTH && !value.iter().all(u8::is_ascii_digit) {
            return Err(HeaderError::InvalidSyntax);
        }
        if self.0.may_set(parsed.as_str()) { Ok(()) } else { Err(HeaderError::Forbidden) }
    }

    fn add(
        &mut self,
        fields: &Resource<Fields>,
        name: &str,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), HeaderError>> {
        let bytes = size(name, &value);
        let kept = self.keep(taken(1, bytes))?;
        let entries = match self.0.wasi().table.get_mut(fields)?.mutable() {
            Ok(entries) => entries,
            Err(error) => return Ok(Err(error)),
        };
        let (Some(kept), true) = (kept, entries.has_room(bytes)) else { return Ok(Err(HeaderError::Forbidden)) };
        entries.kept.add(kept);
        entries.bytes += bytes;
        entries.list.push((name.to_owned(), value));
        Ok(Ok(()))
    }

    /// Removes the fields of that name, for a guest that may change these.
    fn clear(&mut self, fields: &Resource<Fields>, name: &str) -> wasmtime::Result<Result<(), HeaderError>> {
        let entries = self.0.wasi().table.get_mut(fields)?.mutable();
        Ok(entries.map(|entries| entries.remove(name)))
    }
}

impl<T: WasiHost> types::HostFields for Virtual<'_, T> {
    fn new(&mut self) -> wasmtime::Result<Resource<Fields>> {
        self.new_fields(Vec::new())
    }

    fn from_list(&mut self, list: Vec<Entry>) -> wasmtime::Result<Result<Resource<Fields>, HeaderError>> {
        if list.len() > MOST || list.iter().map(|(name, value)| size(name, value)).sum::<usize>() > MOST_BYTES {
            return Ok(Err(HeaderError::Forbidden));
        }
        match list.iter().try_for_each(|(name, value)| self.check(name, value)) {
            Ok(()) => Ok(Ok(self.new_fields(list)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    fn get(&mut self, fields: Resource<Fields>, name: String) -> wasmtime::Result<Vec<Vec<u8>>> {
        let fields = self.0.wasi().table.get(&fields)?;
        let found = fields.entries.list.iter().filter(|entry| is(&name)(entry));
        Ok(found.map(|(_, value)| value.clone()).collect())
    }

    fn has(&mut self, fields: Resource<Fields>, name: String) -> wasmtime::Result<bool> {
        Ok(self.0.wasi().table.get(&fields)?.entries.list.iter().any(is(&name)))
    }

    fn set(
        &mut self,
        fields: Resource<Fields>,
        name: String,
        values: Vec<Vec<u8>>,
    ) -> wasmtime::Result<Result<(), HeaderError>> {
        if !self.0.wasi().table.get(&fields)?.is_mutable {
            return Ok(Err(HeaderError::Immutable));
        }
        let checked =
            self.check(&name, b"").and_then(|()| values.iter().try_for_each(|value| self.check(&name, value)));
        if let Err(error) = checked {
            return Ok(Err(error));
        }
        if let Err(error) = self.clear(&fields, &name)? {
            return Ok(Err(error));
        }
        for value in values {
            if let Err(error) = self.add(&fields, &name, value)? {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    fn delete(&mut self, fields: Resource<Fields>, name: String) -> wasmtime::Result<Result<(), HeaderError>> {
        if !self.0.wasi().table.get(&fields)?.is_mutable {
            return Ok(Err(HeaderError::Immutable));
        }
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(_) => self.clear(&fields, &name),
            Err(_) => Ok(Err(HeaderError::InvalidSyntax)),
        }
    }

    fn append(
        &mut self,
        fields: Resource<Fields>,
        name: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), HeaderError>> {
        if !self.0.wasi().table.get(&fields)?.is_mutable {
            return Ok(Err(HeaderError::Immutable));
        }
        match self.check(&name, &value) {
            Ok(()) => self.add(&fields, &name, value),
            Err(error) => Ok(Err(error)),
        }
    }

    fn entries(&mut self, fields: Resource<Fields>) -> wasmtime::Result<Vec<Entry>> {
        Ok(self.0.wasi().table.get(&fields)?.entries.list.clone())
    }

    fn clone(&mut self, fields: Resource<Fields>) -> wasmtime::Result<Resource<Fields>> {
        let list = self.0.wasi().table.get(&fields)?.entries.list.clone();
        self.new_fields(list)
    }

    fn drop(&mut self, fields: Resource<Fields>) -> wasmtime::Result<()> {
        self.0.wasi().table.delete(fields)?;
        Ok(())
    }
}
