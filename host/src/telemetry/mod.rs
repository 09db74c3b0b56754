//! Sends the spans of this process to a collector of OpenTelemetry, over OTLP/HTTP with protobuf.
//!
//! `settings` reads the variables of OpenTelemetry, `export` sends from a thread of its own what [`trace`] has gathered. A collector that is slow
//! or gone costs spans, and never an execution.
//!
//! The protocol is written here, over the HTTP client that guests use: the published exporter would bring a second one.

mod export;
mod settings;

pub use export::Export;

use crate::trace;
use settings::Settings;

/// Begins to export, if the variables of OpenTelemetry name a collector: returns the export, which is to be finished before the process ends.
/// What is wrong with the variables, and what is done instead, comes with it.
pub fn from_env() -> (Option<Export>, Vec<String>) {
    let (settings, mut complaints) = Settings::read(|name| std::env::var(name).ok());
    let Some(settings) = settings else { return (None, complaints) };
    let sampler = settings.sampler;
    match Export::start(settings) {
        Ok(export) => {
            trace::begin(sampler, export.queue());
            (Some(export), complaints)
        }
        Err(why) => {
            complaints.push(format!("no trace is exported: {why}"));
            (None, complaints)
        }
    }
}
