//! Programs, which are components that export `wasi:cli/run`: what they are started with, and what is told of their end.

use super::report::Summary;
use super::watch::Session;
use super::{Exit, Failure, Outcome, json_line, run, text};
use everstep::{ExecutionId, Reader, Report, StepOutcome, StepView};
use std::ops::ControlFlow;
use std::path::Path;

/// The arguments as an execution holds them: the name of the program first, without its folder.
pub(super) fn args(target: &Path, argv: Vec<String>) -> Result<String, Failure> {
    let name = target.file_name().unwrap_or(target.as_os_str()).to_string_lossy().into_owned();
    json_line(&[vec![name], argv].concat())
}

/// Reports the end of a program; one that has ended by itself has said what it had to say. What it could not say is why a call was denied, since
/// WASI has no more than a word for that.
pub(super) async fn tell(session: &mut Session, report: &Report, json: bool) -> Outcome {
    if json {
        run::tell_unfinished(session, report).await;
        session.console.say(json_line(&Summary::of(report, &session.host.reader()).await)?);
    } else if report.exit_code.is_none() {
        run::tell_unfinished(session, report).await;
    } else if report.exit_code != Some(0)
        && let Some(why) = last_denial(&session.host.reader(), &report.id).await
    {
        session.console.note(format!("its policy denied a call: {}", text::line(&why, 400)));
    }
    Ok(report.exit_code.map_or_else(|| Exit::of_host(report), Exit::of_process))
}

/// Why the last call that was denied was.
async fn last_denial(reader: &Reader, id: &ExecutionId) -> Option<String> {
    let mut last = None;
    let each = |step: StepView| {
        if step.decision == "deny"
            && let StepOutcome::Error { error } = step.outcome
        {
            last = Some(error.message);
        }
        ControlFlow::Continue(())
    };
    reader.each_step(id, each).await.ok()?;
    last
}
