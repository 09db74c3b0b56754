//! Where a run is in a trace, and the spans of its parts.
//!
//! An execution has the context that it was called with or, in a process that traces, the beginning of a trace of its own. The claim, the
//! run and its parts are spans below that, each with an id that every process derives alike. In a process that does not trace, a
//! context that came in is passed on as it is, and no other exists.
//!
//! Each span exists twice: one of `tracing`, for the log and the subscribers of an embedder, which costs nothing where nobody wants it, and
//! one for the collector (`exported`), which waits (`queue`) as the protocol has it (`otlp`) until it is sent.

mod exported;
mod otlp;
mod queue;

pub(crate) use otlp::{Batch, request};
pub(crate) use queue::{BATCH, Queue};

use crate::clock;
use crate::guest_error::GuestError;
use crate::id::ExecutionId;
use everstep_store::journal::Role;
use everstep_store::metrics;
use everstep_store::{Execution, Failure, FailureKind};
use everstep_words::telemetry::{Ended, field, span};
use everstep_words::trace::{Part, SpanId, TraceContext, TraceId};
use exported::Exported;
use otlp::Finished;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tracing::field::{DisplayValue, Empty, display};
use tracing::level_filters::LevelFilter;
use tracing::{Span, info, info_span, trace_span};

/// Decides which traces are kept, as `OTEL_TRACES_SAMPLER` names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampler {
    /// The share of all traces that is kept; 0 to 1.
    pub(crate) ratio: f64,
    /// Whether a trace that was begun elsewhere is kept if it is kept there.
    pub(crate) follows: bool,
}

/// Set once this process traces: which traces are kept, and where their spans wait to be sent.
static TRACING: OnceLock<(Sampler, Arc<Queue>)> = OnceLock::new();

/// From now on this process traces. Only the first call counts.
pub(crate) fn begin(sampler: Sampler, queue: Arc<Queue>) {
    // It traces already.
    let _ = TRACING.set((sampler, queue));
}

impl Sampler {
    fn keeps(self, context: &TraceContext, came: bool) -> bool {
        if came && self.follows {
            return context.sampled;
        }
        // The lower half of a trace id is random.
        let drawn = context.trace.0 & u128::from(u64::MAX);
        #[allow(clippy::cast_precision_loss, reason = "a share need not be exact")]
        let drawn = drawn as f64 / u64::MAX as f64;
        self.ratio >= 1.0 || drawn < self.ratio
    }
}

/// What an execution was called from.
#[derive(Clone, Default)]
pub(crate) struct Origin {
    context: Option<TraceContext>,
    /// Whether this process makes spans below it.
    traces: bool,
}

impl Origin {
    /// The origin of an execution, created at that time, that was given a context or not.
    pub(crate) fn new(id: &ExecutionId, created_ms: u64, given: Option<&TraceContext>) -> Self {
        let Some((sampler, _)) = TRACING.get() else { return Self { context: given.cloned(), traces: false } };
        let context = given.cloned().unwrap_or_else(|| TraceContext::beginning(id, created_ms));
        let sampled = sampler.keeps(&context, given.is_some());
        Self { context: Some(context.sampled(sampled)), traces: true }
    }

    /// The origin of a stored execution.
    pub(crate) fn of(execution: &Execution) -> Self {
        Self::new(&execution.id, execution.created_ms, execution.trace.as_ref())
    }

    /// The context that the execution carries.
    pub(crate) fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// The span of the claim of this process on the execution.
    pub(crate) fn claim(&self, execution: &Execution) -> Claim {
        let version = execution.attempts;
        let context = self.context.as_ref().filter(|_| self.traces);
        let own = context.map(|context| context.claim(&execution.id, version));
        let ids = Ids::of(context, own, context.map(|context| context.span));
        let span = info_span!(
            parent: None,
            span::CLAIM,
            { field::ID } = %execution.id,
            { field::ATTEMPT } = version,
            { field::TRACE } = ids.trace.map(display),
            { field::SPAN } = ids.span.map(display),
            { field::PARENT } = ids.parent.map(display),
            { field::OUTCOME } = Empty,
        );
        let exported = ids.exported(span::CLAIM);
        let exported =
            exported.map(|claim| claim.with(field::ID, execution.id.to_string()).with(field::ATTEMPT, version));
        Claim { span, exported, id: own }
    }

    /// The span of a run under a claim, if it has one; `before` is the version of the task in the run before it, if there was one.
    pub(crate) fn run(&self, execution: &Execution, claim: Option<&Claim>, before: Option<u64>) -> RunTrace {
        let Some(context) = self.context.as_ref().filter(|_| self.traces) else {
            return RunTrace { context: self.context.clone(), ..RunTrace::new(execution, claim, Ids::none()) };
        };
        let run = context.run(&execution.id, execution.attempts);
        // A run without a claim cleans up after the last one.
        let (own, parent) = match claim {
            Some(claim) => (run, claim.id),
            None => (context.at(run).part(Part::CleanUp, 0), Some(run)),
        };
        let mut ids = Ids::of(Some(context), Some(own), parent);
        ids.link = before.filter(|_| context.sampled).map(|before| context.run(&execution.id, before));
        RunTrace { context: Some(context.at(own)), traces: true, ..RunTrace::new(execution, claim, ids) }
    }
}

/// The claim of this process on an execution.
pub(crate) struct Claim {
    span: Span,
    exported: Option<Exported>,
    id: Option<SpanId>,
}

impl Claim {
    /// Ends it.
    pub(crate) fn end(mut self, ended: Ended) {
        self.span.record(field::OUTCOME, ended.name());
        self.exported.iter_mut().for_each(|claim| claim.set(field::OUTCOME, ended.name()));
    }
}

/// The ids of a span; those of a trace that is not kept are left out.
#[derive(Default)]
struct Ids {
    trace: Option<TraceId>,
    span: Option<SpanId>,
    parent: Option<SpanId>,
    link: Option<SpanId>,
}

impl Ids {
    fn none() -> Self {
        Self::default()
    }

    fn of(context: Option<&TraceContext>, span: Option<SpanId>, parent: Option<SpanId>) -> Self {
        let Some(context) = context.filter(|context| context.sampled) else { return Self::none() };
        // The first claim begins a trace.
        let parent = parent.filter(|parent| Some(*parent) != span);
        Self { trace: Some(context.trace), span, parent, link: None }
    }

    fn step(&self, number: u64, kind: &'static str) -> Option<Exported> {
        self.exported(span::STEP).map(|step| step.with(field::NUMBER, number).with(field::KIND, kind))
    }

    /// The span of these ids for the collector, if it is to have it.
    fn exported(&self, name: &'static str) -> Option<Exported> {
        let (_, queue) = TRACING.get()?;
        let (trace, span, parent, link) = (self.trace?, self.span?, self.parent, self.link);
        let ids = otlp::Ids { trace, span, parent, link };
        Some(Exported::begin(queue, Finished::begun(name, ids, clock::since_epoch())))
    }
}

/// A run of an execution, as a trace and the log see it.
#[derive(Default)]
pub(crate) struct RunTrace {
    /// The place of the run or, if this process does not trace, what came in.
    context: Option<TraceContext>,
    traces: bool,
    span: Option<Span>,
    /// The same for the collector, until the run has ended.
    exported: Mutex<Option<Exported>>,
    barriers: AtomicU64,
}

impl RunTrace {
    fn new(execution: &Execution, claim: Option<&Claim>, ids: Ids) -> Self {
        let span = info_span!(
            parent: claim.and_then(|claim| claim.span.id()),
            span::EXECUTION,
            { field::ID } = %execution.id,
            { field::FUNCTION } = execution.function,
            { field::ATTEMPT } = execution.attempts,
            { field::COMPONENT } = component(execution),
            { field::TRACE } = ids.trace.map(display),
            { field::SPAN } = ids.span.map(display),
            { field::PARENT } = ids.parent.map(display),
            { field::LINK } = ids.link.map(display),
            { field::OUTCOME } = Empty,
            { field::ERROR } = Empty,
            { field::STEPS } = Empty,
            { field::REPLAYED } = Empty,
        );
        let exported = ids.exported(span::EXECUTION).map(|run| {
            let (id, function) = (execution.id.to_string(), execution.function.clone());
            let run = run.with(field::ID, id).with(field::FUNCTION, function);
            run.with(field::ATTEMPT, execution.attempts).with(field::COMPONENT, component(execution))
        });
        Self { span: Some(span), exported: Mutex::new(exported), ..Self::default() }
    }

    fn parent(&self) -> Option<tracing::Id> {
        self.span.as_ref().and_then(Span::id)
    }

    /// The context of what a step sends away.
    pub(crate) fn of_step(&self, number: u64) -> Option<TraceContext> {
        let context = self.context.as_ref()?;
        Some(if self.traces { context.at(context.part(Part::Step, number)) } else { context.clone() })
    }

    fn ids(&self, kind: Part, number: u64) -> Ids {
        let Some(context) = self.context.as_ref().filter(|_| self.traces) else { return Ids::none() };
        Ids::of(Some(context), Some(context.part(kind, number)), Some(context.span))
    }

    /// The span of a live step that leaves the process.
    pub(crate) fn step(&self, number: u64, kind: &'static str) -> StepSpan {
        let ids = self.ids(Part::Step, number);
        let span = info_span!(
            parent: self.parent(),
            span::STEP,
            { field::NUMBER } = number,
            { field::KIND } = kind,
            { field::TRACE } = ids.trace.map(display),
            { field::SPAN } = ids.span.map(display),
            { field::PARENT } = ids.parent.map(display),
            { field::OUTCOME } = Empty,
        );
        StepSpan { span, exported: ids.step(number, kind) }
    }

    /// The span of any other live step.
    pub(crate) fn inner_step(&self, number: u64, kind: &'static str) -> StepSpan {
        // There are millions of them: without a reader they have no ids.
        if LevelFilter::current() < LevelFilter::TRACE {
            return StepSpan { span: Span::none(), exported: None };
        }
        let ids = self.ids(Part::Step, number);
        let span = trace_span!(
            parent: self.parent(),
            span::STEP,
            { field::NUMBER } = number,
            { field::KIND } = kind,
            { field::TRACE } = ids.trace.map(display),
            { field::SPAN } = ids.span.map(display),
            { field::PARENT } = ids.parent.map(display),
            { field::OUTCOME } = Empty,
        );
        let exported = if span.is_disabled() { None } else { ids.step(number, kind) };
        StepSpan { span, exported }
    }

    /// The span of a step that makes a promise, for as long as it is made: whoever settles the promise may do so long after. An effect of
    /// this host has a span of its own.
    pub(crate) fn asked(&self, role: Role, number: u64, kind: &'static str) -> Option<StepSpan> {
        match role {
            Role::External | Role::Child => Some(self.step(number, kind)),
            Role::Timer => Some(self.inner_step(number, kind)),
            Role::Request | Role::Effect => None,
        }
    }

    /// Waits until something is durable, as a barrier of the run.
    pub(crate) async fn barrier<T>(&self, wait: impl Future<Output = T>) -> T {
        let began = clock::instant();
        let ids = self.ids(Part::Barrier, self.barriers.fetch_add(1, Ordering::Relaxed));
        let _span = info_span!(
            parent: self.parent(),
            span::BARRIER,
            { field::TRACE } = ids.trace.map(display),
            { field::SPAN } = ids.span.map(display),
            { field::PARENT } = ids.parent.map(display),
        );
        let _exported = ids.exported(span::BARRIER);
        let done = wait.await;
        metrics::BARRIER.note(began.elapsed());
        done
    }

    /// The trace, for the log.
    fn told(&self) -> Option<DisplayValue<TraceId>> {
        self.context.as_ref().filter(|context| self.traces && context.sampled).map(|context| display(context.trace))
    }

    /// Says that the guest has begun.
    pub(crate) fn note_start(&self, id: &ExecutionId, function: &str) {
        info!({ field::ID } = %id, { field::FUNCTION } = function, { field::TRACE } = self.told(), "started");
    }

    /// Says that the guest has repeated so many steps, and goes on.
    pub(crate) fn note_resume(&self, id: &ExecutionId, replayed: u64) {
        info!({ field::ID } = %id, { field::REPLAYED } = replayed, { field::TRACE } = self.told(), "resumed");
    }

    /// Says how the run ended.
    pub(crate) fn end(&self, id: &ExecutionId, ended: Ended, failure: Option<&Failure>, (steps, replayed): (u64, u64)) {
        metrics::RUNS.count(ended);
        metrics::REPLAYED.add(replayed);
        let (outcome, error) = (ended.name(), failure.map(|failure| class(failure.kind)));
        if let Some(span) = &self.span {
            span.record(field::OUTCOME, outcome).record(field::ERROR, error);
            span.record(field::STEPS, steps).record(field::REPLAYED, replayed);
        }
        let exported = self.exported.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut run) = exported {
            run.set(field::OUTCOME, outcome);
            error.into_iter().for_each(|error| run.set(field::ERROR, error));
            run.set(field::STEPS, steps);
            run.set(field::REPLAYED, replayed);
        }
        info!(
            { field::ID } = %id,
            { field::ERROR } = error,
            { field::STEPS } = steps,
            { field::REPLAYED } = replayed,
            { field::TRACE } = self.told(),
            "{outcome}"
        );
    }
}

/// The component of an execution, as a trace names it.
fn component(execution: &Execution) -> String {
    hex::encode(&execution.component.0[..6])
}

/// The class of a failure.
fn class(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Returned(code) => code.name(),
        FailureKind::Trap => "trap",
        FailureKind::Divergence => "divergence",
        FailureKind::Limit => "limit",
        FailureKind::InDoubt => "in-doubt",
        FailureKind::Corrupted => "corrupted",
        FailureKind::Load => "load",
        FailureKind::Moved => "moved",
        FailureKind::TimedOut => "timed-out",
    }
}

/// The span of a step; it ends when it is dropped.
pub(crate) struct StepSpan {
    span: Span,
    exported: Option<Exported>,
}

impl StepSpan {
    /// Notes what came of the step.
    pub(crate) fn outcome<T>(&mut self, outcome: &Result<T, GuestError>) {
        let name = outcome.as_ref().map_or_else(|error| error.code.name(), |_| "ok");
        self.span.record(field::OUTCOME, name);
        self.exported.iter_mut().for_each(|step| step.set(field::OUTCOME, name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(low: u64, sampled: bool) -> TraceContext {
        let parent = format!("00-{:032x}-00f067aa0ba902b7-{:02x}", u128::from(low) | 1 << 64, u8::from(sampled));
        TraceContext::parse(&parent, None).unwrap()
    }

    #[test]
    fn a_sampler_follows_what_came_or_draws_by_the_trace() {
        let (half, low, high) = (Sampler { ratio: 0.5, follows: true }, context(1, false), context(u64::MAX, true));
        assert!(!half.keeps(&low, true) && half.keeps(&high, true));
        assert!(half.keeps(&low, false) && !half.keeps(&high, false));
        let own = Sampler { follows: false, ..half };
        assert!(own.keeps(&low, true) && !own.keeps(&high, true));
        let all = Sampler { ratio: 1.0, follows: false };
        assert!(all.keeps(&high, false));
        let none = Sampler { ratio: 0.0, follows: false };
        assert!(!none.keeps(&low, false));
    }

    #[test]
    fn a_process_that_does_not_trace_passes_on_what_came_in() {
        let id = ExecutionId::new("x").unwrap();
        assert_eq!(Origin::new(&id, 1, None).context(), None);
        let given = context(7, true);
        assert_eq!(Origin::new(&id, 1, Some(&given)).context(), Some(&given));
    }
}
