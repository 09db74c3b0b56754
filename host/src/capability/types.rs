//! Errors between the host and WIT.

use crate::bindings::everstep::host::types;
use crate::bridge::Fault;
use crate::guest_error::{ErrorCode, GuestError};
use crate::turns::Ctx;

impl types::Host for Ctx {
    fn convert_error(&mut self, fault: Fault) -> wasmtime::Result<types::Error> {
        match fault {
            Fault::Guest(error) => Ok(error.into()),
            Fault::Stop(stop) => Err(wasmtime::Error::new(stop)),
        }
    }
}

macro_rules! same_variants {
    ($($variant:ident),*) => {
        impl From<ErrorCode> for types::ErrorCode {
            fn from(code: ErrorCode) -> Self {
                match code { $(ErrorCode::$variant => Self::$variant),* }
            }
        }
        impl From<types::ErrorCode> for ErrorCode {
            fn from(code: types::ErrorCode) -> Self {
                match code { $(types::ErrorCode::$variant => Self::$variant),* }
            }
        }
    };
}
same_variants!(Denied, Invalid, NotFound, TimedOut, Canceled, LimitExceeded, InDoubt, Failed);

impl From<GuestError> for types::Error {
    fn from(error: GuestError) -> Self {
        Self { code: error.code.into(), message: error.message }
    }
}

impl From<types::Error> for GuestError {
    fn from(error: types::Error) -> Self {
        Self::new(error.code.into(), error.message)
    }
}
