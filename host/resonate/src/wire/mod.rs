//! Requests and answers on the wire: a JSON envelope around an operation (sections 2, 3, 5, 6 and 7 of the protocol).
//!
//! `value` and `record` are what both sides read and write. `request` is how a server reads a request, `answer` how it writes the answer
//! and the messages; how a client does the opposite is in the module `client`.

mod answer;
mod record;
mod request;
mod value;

pub(super) use answer::{Echo, Rejection, Response, execute, unblock};
pub(super) use record::{UNENDING, WirePromise, WireSchedule, WireTask};
pub(super) use request::{NotedRequest, Request};
pub(super) use value::{AS_IS, WireValue};

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

/// The version of the protocol.
pub(super) const VERSION: &str = "2026-04-01";
/// The largest body of a request, in bytes.
pub(super) const LARGEST: usize = 2 << 20;
pub(super) const CREATE: &str = "promise.create";
pub(super) const SETTLE: &str = "promise.settle";
pub(super) const CALLBACK: &str = "promise.register_callback";

/// A value that must be a JSON object: a derived reader alone would accept a list of its fields as well.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let fields = serde_json::Map::deserialize(reader)?;
        T::deserialize(Json::Object(fields)).map(Self).map_err(D::Error::custom)
    }
}
