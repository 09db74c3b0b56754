//! The only generated module: the world `durable` of the WIT package.
#![allow(unsafe_code, reason = "generated: the canonical ABI passes pointers")]
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]

wit_bindgen::generate!({ path: "../wit", world: "durable" });

export!(Component with_types_in self);

/// The exports of the component, implemented in `guest`.
pub(crate) struct Component;
