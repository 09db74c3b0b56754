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
pub(super) struct Shown {
    last: Arc<Mutex<HashMap<ExecutionId, Option<u64>>>>,
    /// Whether other executions, which this host may run for others, are not shown.
    nothing_else: bool,
}

impl Shown {
    /// For a host that only shows what is followed.
    pub(super) fn nothing_else() -> Self {
        Self { nothing_else: true, ..Self::default() }
    }

    /// Whether output is to be shown, and was not yet. Marks it as shown.
    pub(super) fn is_new(&self, output: &Output) -> bool {
        let mut shown = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = shown.get_mut(&output.execution) else { return !self.nothing_else };
        let is_new = last.is_none_or(|last| last < output.step);
        if is_new {
            *last = Some(output.step);
        }
        is_new
    }

    /// Notes that an execution is followed, if that is not known, and the last step that was shown of it.
    pub(super) fn begin(&self, id: &ExecutionId, last: Option<u64>) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()).or_insert(last);
    }
}

impl Elsewhere {
    pub(super) fn new(shown: Shown) -> Self {
        Self { following: Vec::new(), shown }
    }

    /// Lets the output of an execution be shown before it is followed.
    pub(super) fn expect(&self, id: &ExecutionId) {
        self.shown.begin(id, None);
    }

    /// Follows an execution from its beginning, wherever it runs.
    pub(super) async fn follow_all(&mut self, host: &Everstep, id: &ExecutionId) {
        self.expect(id);
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
