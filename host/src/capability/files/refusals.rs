//! Why calls of WASI were refused, for a guest that wants more than the one word that WASI has for it.

use super::adapter::Place;
use crate::bridge::{Fault, Json};
use crate::guest_error::GuestError;
use crate::vfs::{Errno, Fail, Result};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// The latest refusals of a run, with their paths; a function of its calls and their recorded outcomes.
#[derive(Default)]
pub(super) struct Refusals(Mutex<VecDeque<(Vec<String>, GuestError)>>);

/// How many are kept.
const KEPT: usize = 16;

impl Refusals {
    /// The latest one of a path, or of any.
    pub(super) fn latest(&self, path: Option<&str>) -> Option<GuestError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_about = |paths: &[String]| path.is_none_or(|path| paths.iter().any(|one| one == path));
        kept.iter().rev().find(|(paths, _)| is_about(paths)).map(|(_, error)| error.clone())
    }

    fn keep(&self, paths: Vec<String>, error: GuestError) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((paths, error));
    }
}

impl Place<'_> {
    /// What the outcome of a step is for WASI.
    pub(super) fn done<T>(&self, done: std::result::Result<T, Fault>) -> Result<T> {
        done.map_err(|fault| match fault {
            Fault::Guest(error) => {
                self.bridge.of_run::<Refusals>().keep(self.paths(), error.clone());
                Fail::Refused(error)
            }
            Fault::Stop(stop) => Fail::End(wasmtime::Error::new(stop)),
        })
    }

    /// The same for one that keeps the reason of a failure.
    pub(super) fn taken<T>(
        &self,
        answer: std::result::Result<Json<std::result::Result<T, Errno>>, Fault>,
    ) -> Result<T> {
        let Json(answer) = self.done(answer)?;
        Ok(answer?)
    }
}
