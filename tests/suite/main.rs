//! The behaviour suite: one binary, one module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod approvals;
mod children;
mod cli;
mod cli_list;
mod cli_told;
mod cli_travel;
mod delays;
mod determinism;
mod divergence;
mod endings;
mod functions;
mod holding;
mod hostile;
mod http;
mod kill;
mod network;
mod oracle;
mod people;
mod piped;
mod policy;
mod promises;
mod python;
mod recovery;
mod requests;
mod secrets;
mod session;
mod site;
mod store_faults;
mod store_races;
mod support;
mod suspension;
mod terminal;
mod travel;
mod wasi;
mod websocket;
