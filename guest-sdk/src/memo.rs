//! Computations that are too expensive to repeat after a crash.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::bindings::everstep::host::memo::{self, Recollection};
use crate::hash_keys;
use crate::{Context, Error};

impl Context {
    /// Computes a value once per execution: after a crash it is remembered, and `compute` does not run.
    ///
    /// `compute` gets no context and must be pure; it may hold anything that takes long. A computation that can fail returns a `Result`,
    /// which is remembered like any other value. The returned value has been through JSON, the first time as well, so that a value which
    /// JSON does not keep is an error from the start (`NaN`), or the same in every run (a skipped field).
    pub fn step<T>(&self, name: &str, compute: impl FnOnce() -> T) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned,
    {
        let invalid = |cause| Error::invalid(format!("value of step `{name}`: {cause}"));
        match memo::recall(name)? {
            Recollection::Remembered(json) => {
                let Kept { maps, value } = serde_json::from_str(&json).map_err(invalid)?;
                hash_keys::skip(maps);
                serde_json::from_str(value.get()).map_err(invalid)
            }
            Recollection::Compute(step) => {
                let (value, maps) = hash_keys::counted(compute);
                // As `Kept` is read, in one text.
                let mut kept = br#"{"maps":"#.to_vec();
                serde_json::to_writer(&mut kept, &maps).map_err(invalid)?;
                kept.extend_from_slice(br#","value":"#);
                let start = kept.len();
                serde_json::to_writer(&mut kept, &value).map_err(invalid)?;
                let value = serde_json::from_slice(&kept[start..]).map_err(invalid)?;
                kept.push(b'}');
                memo::remember(step, &String::from_utf8_lossy(&kept))?;
                Ok(value)
            }
        }
    }
}

/// The remembered result of a computation.
#[derive(Deserialize)]
struct Kept<'a> {
    /// How many hash maps were made for the value: later ones must have the same iteration order.
    maps: u64,
    #[serde(borrow)]
    value: &'a RawValue,
}
