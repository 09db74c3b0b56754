//! `everstep show`.

use super::place::StoreArg;
use super::report::Unreadable;
use super::stream::{JsonList, Rows, Stream};
use super::text;
use super::watch::block_on;
use super::{Exit, Outcome, report};
use everstep::store::{Execution, Progress, State};
use everstep::{Digest, ExecutionId, StepOutcome, StepView};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Show an execution and all of its steps
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The execution
    id: ExecutionId,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object with the steps as `steps`, each {n, kind, subject, decision, rule, outcome, at_ms, settled_ms}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  everstep show count-1
  everstep show count-1 --json | jq '.steps[] | select(.decision == \"deny\")'";

/// An execution for scripts.
#[derive(Serialize)]
pub(super) struct Head<'a> {
    id: &'a ExecutionId,
    state: State,
    function: &'a str,
    args: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    component: Digest,
    policy: Digest,
    attempts: u64,
    cpu_us: u64,
    created_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_ms: Option<u64>,
    updated_ms: u64,
    /// The number of steps; `show` lists them instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waits_for: Vec<report::Halted>,
    #[serde(skip_serializing_if = "Unreadable::is_empty")]
    unreadable: Unreadable,
}

impl<'a> Head<'a> {
    /// The head of an execution. `halted` are the halted executions that it has called.
    pub(super) fn of(execution: &'a Execution, halted: &[Execution]) -> Self {
        let Execution { id, component, policy, function, args, created_ms, deadline_ms, .. } = execution;
        let Execution { state, attempts, result, progress, .. } = execution;
        let Progress { error, steps, cpu_us, updated_ms } = progress;
        let mut unreadable = Unreadable::default();
        Self {
            id,
            state: *state,
            function,
            args: unreadable.raw("args", Some(args)),
            result: unreadable.raw("result", result.as_deref()),
            error: error.as_ref().map(report::error),
            component: *component,
            policy: *policy,
            attempts: *attempts,
            cpu_us: *cpu_us,
            created_ms: *created_ms,
            deadline_ms: *deadline_ms,
            updated_ms: *updated_ms,
            steps: Some(*steps),
            waits_for: report::Halted::of(halted),
            unreadable,
        }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    block_on(Box::pin(show(args)))
}

async fn show(args: &Args) -> Outcome {
    let reader = args.store.store.reader()?;
    let execution = reader.execution(&args.id).await?;
    let halted = report::halted_below(&reader, &args.id, execution.state).await;
    if args.json {
        let mut list = JsonList::start(&Head { steps: None, ..Head::of(&execution, &halted) }, "steps")?;
        reader.each_step(&args.id, |step| list.element(&step)).await?;
        list.finish()?;
        return Ok(Exit::Done);
    }
    let mut stream = Stream::start();
    if stream.write(&format!("{}\n", head(&execution, &halted))).is_continue() {
        let mut rows = table(stream);
        reader.each_step(&args.id, |step| rows.row(cells(&step))).await?;
        stream = rows.end();
    }
    stream.finish()?;
    Ok(Exit::Done)
}

fn head(execution: &Execution, halted: &[Execution]) -> String {
    let Execution { id, component, policy, function, args, created_ms, progress, .. } = execution;
    let mut head = String::new();
    let mut field = |name: &str, value: &str| head.push_str(&format!("{name:<10} {value}\n"));
    field("execution", id.as_str());
    field("state", execution.state.name());
    field("function", &text::line(function, 200));
    field("arguments", &text::line(&text::json(args), 500));
    if let Some(result) = &execution.result {
        field("result", &text::line(&text::json(result), 500));
    }
    if let Some(error) = &progress.error {
        field("error", &report::error_text(error));
    }
    let waits = if execution.state.is_final() { "waited for" } else { "waits for" };
    halted.iter().for_each(|halted| field(waits, &report::halted_text(halted)));
    field("component", &component.to_string());
    field("policy", &policy.to_string());
    field("started", &text::time(*created_ms));
    field("updated", &text::time(progress.updated_ms));
    if let Some(deadline_ms) = execution.deadline_ms {
        field("deadline", &text::time(deadline_ms));
    }
    field("runs", &execution.attempts.to_string());
    field("cpu", &text::span(progress.cpu_us / 1_000));
    head
}

/// A table of steps; each row is the [`cells`] of one.
pub(super) fn table(stream: Stream) -> Rows {
    Rows::start(stream, &["N", "KIND", "SUBJECT", "DECISION", "OUTCOME", "TIME", "TOOK"])
}

pub(super) fn cells(step: &StepView) -> [String; 7] {
    let rule = if step.rule.is_empty() { String::new() } else { format!(" ({})", text::line(&step.rule, 40)) };
    let outcome = match &step.outcome {
        StepOutcome::Pending => "pending".to_owned(),
        StepOutcome::Ok { bytes } => format!("{bytes} bytes"),
        StepOutcome::Error { error } => text::line(&error.to_string(), 80),
    };
    [
        step.n.to_string(),
        text::line(&step.kind, 40),
        text::line(&step.subject, 60),
        format!("{}{rule}", step.decision),
        outcome,
        text::time(step.at_ms),
        step.settled_ms.map(|settled| text::span(settled.saturating_sub(step.at_ms))).unwrap_or_default(),
    ]
}
