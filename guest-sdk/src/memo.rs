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
                let json = serde_json::value::to_raw_value(&value).map_err(invalid)?;
                let value = serde_json::from_str(json.get()).map_err(invalid)?;
                let kept = serde_json::to_string(&Kept { maps, value: &json }).map_err(invalid)?;
                memo::remember(step, &kept)?;
                Ok(value)
            }
        }
    }
}

/// The remembered result of a computation.
#[derive(Deserialize, Serialize)]
struct Kept<'a> {
    /// How many hash maps were made for the value: later ones must have the same iteration order.
    maps: u64,
    #[serde(borrow)]
    value: &'a RawValue,
}
