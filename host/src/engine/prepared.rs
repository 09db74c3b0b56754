//! What components have made of files of images, for all executions: in memory, and in the cache folder.
//!
//! It follows from its name alone, so that an execution cannot tell whether it was there or is made for it.

use super::Component;
use super::cache::{Cache, cache_key};
use crate::blocking::blocking;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// The most bytes that are kept in memory.
const MOST: usize = 32 << 20;
/// The assumed cost of one besides its bytes.
const COST: usize = 128;

/// What was made of a file; `None`: nothing.
pub(crate) type Made = Option<Arc<[u8]>>;

/// See the module.
pub(crate) struct Prepared {
    cache: Option<Arc<Cache>>,
    known: Mutex<Known>,
    /// The instances that may make something at once: so many are in the pool for it.
    makers: Semaphore,
}

#[derive(Default)]
struct Known {
    made: HashMap<blake3::Hash, Made>,
    bytes: usize,
}

impl Prepared {
    pub(super) fn new(cache: Option<Arc<Cache>>, makers: u32) -> Self {
        Self { cache, known: Mutex::default(), makers: Semaphore::new(makers as usize) }
    }

    /// What a component has made, or makes now if it `may`, of a file; `file` says which one it is and what it holds.
    ///
    /// # Errors
    /// Those of `make`, which is called if nothing is kept.
    pub(crate) async fn get<E>(
        &self,
        component: &Component,
        file: &[u8],
        may: bool,
        make: impl AsyncFnOnce() -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Made, E> {
        let name = name(component, file);
        if let Some(made) = self.find(name).await {
            return Ok(made);
        }
        if !may {
            return Ok(None);
        }
        // The semaphore is never closed.
        let _permit = self.makers.acquire().await;
        if let Some(made) = self.known(&name) {
            return Ok(made);
        }
        let made: Made = make().await?.map(Into::into);
        self.remember(name, made.clone());
        if let Some(cache) = self.cache.clone() {
            let made = made.clone();
            // One that is not kept is made again.
            let _ = blocking(move || cache.keep_prepared(&name, &to_bytes(made.as_deref()))).await;
        }
        Ok(made)
    }

    async fn find(&self, name: blake3::Hash) -> Option<Made> {
        if let Some(made) = self.known(&name) {
            return Some(made);
        }
        let cache = self.cache.clone()?;
        let noted = blocking(move || cache.prepared(&name)).await.ok().flatten()?;
        let made = of_bytes(&noted)?;
        self.remember(name, made.clone());
        Some(made)
    }

    fn known(&self, name: &blake3::Hash) -> Option<Made> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).made.get(name).cloned()
    }

    fn remember(&self, name: blake3::Hash, made: Made) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = made.as_ref().map_or(0, |made| made.len()) + COST;
        if cost > MOST {
            return;
        }
        if known.bytes + cost > MOST {
            *known = Known::default();
        }
        if known.made.insert(name, made).is_none() {
            known.bytes += cost;
        }
    }
}

/// A byte that says whether there is something, and what there is.
fn to_bytes(made: Option<&[u8]>) -> Vec<u8> {
    match made {
        Some(made) => [b"1", made].concat(),
        None => b"0".to_vec(),
    }
}

fn of_bytes(noted: &[u8]) -> Option<Made> {
    match noted.split_first()? {
        (b'1', made) => Some(Some(made.into())),
        (b'0', []) => Some(None),
        _ => None,
    }
}

/// The name of what an engine's component makes of a file.
fn name(component: &Component, file: &[u8]) -> blake3::Hash {
    let engine = &component.engine;
    let key = cache_key(engine, component.digest);
    let mut hasher = blake3::Hasher::new_keyed(key.as_bytes());
    hasher.update(&(engine.get_max_wasm_stack() as u64).to_le_bytes()).update(file);
    hasher.finalize()
}
