//! The codec and the cursor, without the group commit.
#![allow(dead_code, missing_docs, reason = "parts of it are used by the rest of the product only")]

#[path = "../../../host/store/src/journal/codec.rs"]
mod codec;
#[path = "../../../host/store/src/journal/history.rs"]
mod history;
#[path = "../../../host/store/src/journal/record.rs"]
mod record;

pub use codec::Corrupted;
pub(crate) use history::History;
pub(crate) use record::Record;
