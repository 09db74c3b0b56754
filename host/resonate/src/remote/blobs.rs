//! Content-addressed bytes: policies are promises of the server, components are on the worker.
//!
//! A component is not sent: it is found by its digest among those that this worker was given. A policy travels with its execution.

use super::link::{Link, lock, unexpected};
use super::settled_from_the_start;
use everstep_store::operation::{Operation, Reply};
use everstep_store::record::Value;
use everstep_store::{Blob, Error};
use everstep_words::id::Digest;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

/// The first bytes of a component.
const COMPONENT: &[u8] = b"\0asm";
/// The most bytes of a policy.
const LARGEST: u64 = 1 << 20;

/// See the module.
pub(super) struct Blobs {
    link: Arc<Link>,
    components: Mutex<HashMap<Digest, Blob>>,
    /// Those that the server has.
    kept: Mutex<HashSet<Digest>>,
}

impl Blobs {
    pub(super) fn new(link: Arc<Link>, components: Vec<(Digest, Blob)>) -> Self {
        Self { link, components: Mutex::new(components.into_iter().collect()), kept: Mutex::default() }
    }

    /// Keeps bytes where they belong.
    pub(super) async fn keep(&self, digest: Digest, blob: &Blob) -> Result<(), Error> {
        if lock(&self.kept).contains(&digest) || lock(&self.components).contains_key(&digest) {
            return Ok(());
        }
        let bytes =
            blob.bytes().map_err(|error| Error::Server { cause: format!("{digest} cannot be read: {error}") })?;
        if bytes.starts_with(COMPONENT) {
            lock(&self.components).insert(digest, blob.clone());
            return Ok(());
        }
        let text = std::str::from_utf8(&bytes).ok().filter(|_| blob.length() <= LARGEST);
        let cause = || {
            format!("{digest} has {} bytes, and cannot be kept by a server: at most {LARGEST} of text", blob.length())
        };
        let data = text.ok_or_else(|| Error::Server { cause: cause() })?.to_owned();
        let value = Value { headers: BTreeMap::new(), data: Some(data) };
        let create = Operation::PromiseCreate(settled_from_the_start(id(&digest), value));
        let (applied, _) = self.link.operate(&create).await?;
        match applied.answer {
            Ok(Reply::Promise(_)) => {
                lock(&self.kept).insert(digest);
                Ok(())
            }
            answer => Err(unexpected("promise.create", &answer)),
        }
    }

    /// Bytes by their digest.
    pub(super) async fn find(&self, digest: &Digest) -> Result<Option<Blob>, Error> {
        if let Some(component) = lock(&self.components).get(digest) {
            return Ok(Some(component.clone()));
        }
        let found = self.link.promise(&id(digest)).await?.and_then(|promise| promise.param.data);
        match found {
            Some(data) if Digest::of(data.as_bytes()) != *digest => {
                let (what, expected) = ("content-addressed bytes".to_owned(), digest.to_string());
                Err(Error::Corrupted { what, expected, found: Digest::of(data.as_bytes()).to_string() })
            }
            data => Ok(data.map(|data| data.into_bytes().into())),
        }
    }
}

/// The id of the promise that holds such bytes.
fn id(digest: &Digest) -> String {
    format!("everstep-{}", digest.to_string().replace(':', "-"))
}
