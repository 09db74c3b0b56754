//! The codec and the cursor, without the group commit.

#[path = "../../../host/src/journal/codec.rs"]
mod codec;
#[path = "../../../host/src/journal/history.rs"]
mod history;
#[path = "../../../host/src/journal/record.rs"]
mod record;

pub use codec::Corrupted;
pub(crate) use history::History;
pub(crate) use record::Record;
