//! Executions that are watched here and run in another host of the store: what they print is read from their journals.

use super::console::Console;
use everstep::output::Output;
use everstep::store::State;
use everstep::{Everstep, ExecutionId, Following};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What is read, look by look.
#[derive(Default)]
pub(super) struct Elsewhere {
    following: Vec<Following>,
    shown: Shown,
}

/// The last step of each of them whose output was shown: they may go on in this host, which shows that by itself.
#[derive(Clone, Default)]
pub(super) struct Shown(Arc<Mutex<HashMap<ExecutionId, u64>>>);

impl Shown {
    /// Whether output is to be shown.
    pub(super) fn is_new(&self, output: &Output) -> bool {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown
            .get_mut(&output.execution)
            .is_none_or(|last| output.step > std::mem::replace(last, output.step.max(*last)))
    }
}

impl Elsewhere {
    pub(super) fn new(shown: Shown) -> Self {
        Self { following: Vec::new(), shown }
    }

    /// Follows an execution, if another host runs it, from here on.
    pub(super) async fn follow(&mut self, host: &Everstep, id: &ExecutionId) {
        let reader = host.reader();
        let runs_elsewhere = host.steps_so_far(id).is_none()
            && !host.is_alone()
            && reader.execution(id).await.is_ok_and(|execution| execution.state == State::Running);
        // A store that fails is reported by the execution.
        if runs_elsewhere && let Ok(mut following) = reader.follow(id).await {
            let mut last = 0;
            let _ = following.each(|output| last = output.step).await;
            self.shown.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), last);
            self.following.push(following);
        }
    }

    /// Shows what came since the last look.
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
