//! Gathers spans as they end.

use super::export::Queue;
use super::otlp::Finished;
use crate::clock;
use everstep_words::telemetry::field;
use std::sync::Arc;
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Gives the spans of this library that belong to a trace to the export. A layer of a subscriber of `tracing`.
pub struct Spans {
    queue: Arc<Queue>,
}

/// A span that has not ended.
struct Open {
    span: Finished,
    began: Instant,
}

impl Spans {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue }
    }

    /// Whether something may be exported: for the filter of this layer.
    pub fn wants(metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.fields().field(field::TRACE).is_some()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut span = Finished::new(attributes.metadata().name(), clock::since_epoch());
        attributes.record(&mut span);
        if span.is_of_a_trace()
            && let Some(place) = context.span(id)
        {
            place.extensions_mut().insert(Open { span, began: clock::instant() });
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(place) = context.span(id)
            && let Some(open) = place.extensions_mut().get_mut::<Open>()
        {
            values.record(&mut open.span);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let open = context.span(&id).and_then(|place| place.extensions_mut().remove::<Open>());
        if let Some(Open { mut span, began }) = open {
            span.end = span.start + began.elapsed();
            self.queue.push(span);
        }
    }
}

impl Visit for Finished {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.set_text(field.name(), format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set_text(field.name(), format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set_number(field.name(), i64::try_from(value).unwrap_or(i64::MAX));
    }
}
