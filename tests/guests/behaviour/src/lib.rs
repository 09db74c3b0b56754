//! What the behaviour suite needs a guest to do, one module per subject of the suite.

mod children;
mod delays;
mod determinism;
mod divergence;
mod functions;
mod memos;
mod network;
mod output;
mod promises;
mod raw;
mod recovery;
mod remote;
mod requests;
mod retries;
mod traced;
