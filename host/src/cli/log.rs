//! The log on standard error, and the export of traces.

use super::text;
use everstep::TraceContext;
use everstep::telemetry::{self, Export};
use std::env::var_os;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::time::Duration;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A line for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// The log of a command; it ends with what is left to be exported.
pub(super) struct Log(Option<Export>);

/// The place in a trace that the command was started from, as the variables `TRACEPARENT` and `TRACESTATE` name it.
pub(super) fn trace() -> Option<TraceContext> {
    let variable = |name| std::env::var(name).ok();
    TraceContext::parse(&variable("TRACEPARENT")?, variable("TRACESTATE").as_deref())
}

/// How long the end of a command waits for the collector.
const LAST: Duration = Duration::from_secs(3);

impl Log {
    /// Starts it at the level that the variable `EVERSTEP_LOG` names.
    pub(super) fn start(format: Format) -> Self {
        let filter = EnvFilter::builder().with_env_var("EVERSTEP_LOG");
        let filter = filter.with_default_directive(LevelFilter::WARN.into()).from_env_lossy();
        let finest = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
        // One line as a span ends, from this level on.
        let with_spans = finest >= LevelFilter::DEBUG;
        // A filter without a hint would let everything through to where it is dropped.
        let lines_or_spans = filter_fn(move |metadata: &Metadata<'_>| with_spans || metadata.is_event());
        let shown = filter.and(lines_or_spans.with_max_level_hint(LevelFilter::TRACE));
        let coloured = std::io::stderr().is_terminal() && takes_colours(var_os("NO_COLOR"), var_os("TERM"));
        // A line that cannot be written is lost; reporting that in its place would panic.
        let lines = fmt::layer().with_writer(stream).with_ansi(coloured).log_internal_errors(false);
        let lines = lines.with_span_events(if with_spans { FmtSpan::CLOSE } else { FmtSpan::NONE });
        let lines = match format {
            Format::Text => lines.with_filter(shown).boxed(),
            Format::Json => lines.json().flatten_event(true).with_span_list(false).with_filter(shown).boxed(),
        };
        let (export, complaints) = telemetry::from_env();
        tracing_subscriber::registry().with(lines).init();
        complaints.iter().for_each(|complaint| tracing::warn!("{complaint}"));
        Self(export)
    }

    /// Sends what is left, for a short time at most.
    pub(super) fn end(self) {
        if let Some(export) = self.0 {
            export.finish(LAST);
        }
    }
}

/// Whether a terminal may be sent colours: see <https://no-color.org>.
fn takes_colours(no_color: Option<OsString>, terminal: Option<OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty()) && terminal.is_none_or(|terminal| terminal != "dumb")
}

/// The stream of the log; resets what a guest has set on the terminal.
fn stream() -> std::io::Stderr {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // There is no place to report an error.
        let _ = stderr.write_all(text::RESET.as_bytes());
    }
    stderr
}

#[cfg(test)]
mod tests {
    #[test]
    fn colours_are_refused_as_is_customary() {
        let takes = |no_color: Option<&str>, terminal: Option<&str>| {
            super::takes_colours(no_color.map(Into::into), terminal.map(Into::into))
        };
        assert!(takes(None, None) && takes(Some(""), Some("xterm")));
        assert!(!takes(Some("1"), Some("xterm")) && !takes(None, Some("dumb")));
    }
}
