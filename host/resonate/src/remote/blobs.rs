//! Content-addressed bytes: policies and images are promises of the server, components are on the worker.
//!
//! A component is not sent: it is found by its digest among those that this worker was given. A policy travels with its execution, and so does
//! what it needs of an image.

use super::link::{Link, lock, unexpected};
use super::{segments, settled_from_the_start};
use crate::wire::AS_IS;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use everstep_store::operation::{Operation, Reply};
use everstep_store::record::Value;
use everstep_store::{Blob, Error};
use everstep_words::id::Digest;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

/// The first bytes of a component.
const COMPONENT: &[u8] = b"\0asm";
/// The most bytes of anything else: a MiB of a file, and what marks it.
const LARGEST: u64 = (1 << 20) + 64;

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
        if blob.length() > LARGEST {
            let cause =
                format!("{digest} has {} bytes, and cannot be kept by a server: at most {LARGEST}", blob.length());
            return Err(Error::Server { cause });
        }
        // What is no text is sent as it is encoded.
        let value = match std::str::from_utf8(&bytes) {
            Ok(text) => Value { headers: BTreeMap::new(), data: Some(text.to_owned()) },
            Err(_) => Value {
                headers: BTreeMap::from([(AS_IS.to_owned(), "true".to_owned())]),
                data: Some(BASE64_STANDARD.encode(&bytes)),
            },
        };
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
        let found = self.link.promise(&id(digest)).await?.and_then(|promise| segments::records(&promise.param));
        match found {
            Some(bytes) if Digest::of(&bytes) != *digest => {
                let (what, expected) = ("content-addressed bytes".to_owned(), digest.to_string());
                Err(Error::Corrupted { what, expected, found: Digest::of(&bytes).to_string() })
            }
            bytes => Ok(bytes.map(Into::into)),
        }
    }
}

/// The id of the promise that holds such bytes.
fn id(digest: &Digest) -> String {
    format!("everstep-{}", digest.to_string().replace(':', "-"))
}
