//! Randomness drawn from the recorded seed of the execution.

use uuid::Uuid;

use crate::bindings::everstep::host::random;
use crate::{Context, Error};

impl Context {
    /// `length` random bytes.
    pub fn random_bytes(&self, length: u32) -> Result<Vec<u8>, Error> {
        Ok(random::bytes(length)?)
    }

    /// A version 4 UUID.
    pub fn uuid(&self) -> Result<Uuid, Error> {
        random::uuid()?.parse().map_err(Error::failed)
    }
}
