//! Executions that are watched here but run in another host of the store: their output is read from their journals.

use super::console::Console;
use everstep::output::Output;
use everstep::store::State;
use everstep::{Everstep, ExecutionId, Following};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The followed journals.
#[derive(Default)]
pub(super) struct Elsewhere {
    following: Vec<Following>,
    shown: Shown,
}

/// The last step that was shown of each execution whose journal is followed: this host may run it, too, and then shows its further
/// output itself.
#[derive(Clone, Default)]
pub(super) struct Shown(Arc<Mutex<HashMap<ExecutionId, Option<u64>>>>);

impl Shown {
    /// Whether output was not shown yet. Marks it as shown.
    pub(super) fn is_new(&self, output: &Output) -> bool {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = shown.get_mut(&output.execution) else { return true };
        let is_new = last.is_none_or(|last| last < output.step);
        if is_new {
            *last = Some(output.step);
        }
        is_new
    }

    fn begin(&self, id: &ExecutionId, last: Option<u64>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), last);
    }
}

impl Elsewhere {
    pub(super) fn new(shown: Shown) -> Self {
        Self { following: Vec::new(), shown }
    }

    /// Follows an execution from its beginning, wherever it runs.
    pub(super) async fn follow_all(&mut self, host: &Everstep, id: &ExecutionId) {
        self.shown.begin(id, None);
        if let Ok(following) = host.reader().follow(id).await {
            self.following.push(following);
        }
    }

    /// Follows an execution from now on, if another host runs it.
    pub(super) async fn follow(&mut self, host: &Everstep, id: &ExecutionId) {
        let reader = host.reader();
        let runs_elsewhere = host.steps_so_far(id).is_none()
            && !host.is_alone()
            && reader.execution(id).await.is_ok_and(|execution| execution.state == State::Running);
        // A store that fails is reported by the execution.
        if runs_elsewhere && let Ok(mut following) = reader.follow(id).await {
            let mut last = None;
            let _ = following.each(|output| last = Some(output.step)).await;
            self.shown.begin(id, last);
            self.following.push(following);
        }
    }

    /// Shows the output since the last look.
    pub(super) async fn look(&mut self, console: &Console) {
        for following in &mut self.following {
            let new = |output: Output| {
                if self.shown.is_new(&output) {
                    console.output(output);
                }
            };
            let _ = following.each(new).await;
        }
    }
}
