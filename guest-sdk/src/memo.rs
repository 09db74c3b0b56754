//! Computations that are too expensive to repeat after a crash.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::everstep::host::memo::{self, Recollection};
use crate::{Context, Error};

impl Context {
    /// Computes a value once per execution: after a crash it is remembered, and `compute` does not run.
    ///
    /// `compute` gets no context and must be pure; it may hold anything that takes long. A computation that can fail returns
    /// a `Result`, which is remembered like any other value.
    pub fn step<T>(&self, name: &str, compute: impl FnOnce() -> T) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned,
    {
        match memo::recall(name)? {
            Recollection::Remembered(json) => {
                serde_json::from_str(&json).map_err(|cause| Error::invalid(format!("value of step `{name}`: {cause}")))
            }
            Recollection::Compute(step) => {
                let value = compute();
                let json = serde_json::to_string(&value)
                    .map_err(|cause| Error::invalid(format!("value of step `{name}`: {cause}")))?;
                memo::remember(step, &json)?;
                Ok(value)
            }
        }
    }
}
