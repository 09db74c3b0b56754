//! `everstep:host/memo`: computations remembered across a crash.

use crate::bindings::everstep::host::memo;
use crate::bridge::{Fault, Recollection};
use crate::turns::Ctx;

impl memo::Host for Ctx {
    fn recall(&mut self, name: String) -> Result<memo::Recollection, Fault> {
        Ok(match self.bridge.memo().recall(name)? {
            Recollection::Remembered(value) => memo::Recollection::Remembered(value),
            Recollection::Compute(number) => memo::Recollection::Compute(number),
        })
    }

    fn remember(&mut self, step: u64, value: String) -> Result<(), Fault> {
        self.bridge.memo().remember(step, value)
    }
}
