//! One run, from its instance to its report.

use super::conclude::{Concluded, failure, how_ended};
use super::live::Hold;
use super::{Error, Everstep, Report, Scope};
use crate::bridge::{Bridge, Patience, Seat, Stop};
use crate::capability::files::Images;
use crate::clock;
use crate::id::ExecutionId;
use crate::trace::Claim;
use crate::turns::{Ending, Job, drive};
use everstep_store::metrics;
use everstep_store::record::TaskState;
use everstep_words::telemetry::Ended;
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

/// Runs an execution, after the steps that pin its images.
pub(super) async fn drive_with_images(job: Job) -> Ending {
    match Images::pin(&job.bridge) {
        Ok(()) => drive(job).await,
        Err(stop) => Ending::Stopped(stop),
    }
}

impl Everstep {
    /// Runs an execution until it ends, or has nothing to do but wait, and reports that to all that wait for it.
    pub(super) async fn see_through(self, hold: Hold, job: Job, seat: Option<Seat>, claim: Option<Claim>) {
        let running = metrics::RUNNING.one();
        let (started, bridge, patience) = (clock::instant(), Arc::clone(&job.bridge), job.bridge.facts.patience);
        let ended = AssertUnwindSafe(self.drive_and_conclude(job, seat, started)).catch_unwind().await;
        let ended = match ended {
            Ok(ended) => ended,
            Err(_) => Err(self.give_up(&bridge).await),
        };
        let (id, version) = (bridge.facts.id.clone(), bridge.facts.terms.version);
        let last = bridge.next_step().saturating_sub(1);
        let (how, failure) = (how_ended(&ended, &bridge), failure(&ended));
        bridge.facts.trace.end(&id, how, failure, bridge.figures());
        claim.into_iter().for_each(|claim| claim.end(how));
        drop((bridge, running));
        if how == Ended::Lost {
            metrics::LOST.add(1);
            tracing::warn!(%id, "the execution was taken away from this host");
        }
        let live = Arc::clone(&self.inner.live);
        let outcome = match ended {
            Ok(Concluded::GoOn) => return self.go_on(hold, id, patience),
            Ok(Concluded::TakenBack) => {
                live.note_taken_back(&id, last);
                return self.go_on(hold, id, patience);
            }
            Ok(Concluded::Lost) => return self.goes_elsewhere(hold, id, patience),
            Ok(Concluded::Over(report)) => Ok(report),
            Err(error) => Err(Arc::new(error)),
        };
        let rests = matches!(&outcome, Ok(report) if report.state == everstep_store::State::Suspended);
        // The hold on the execution, and on the store, ends before the outcome is known: a caller that sees it may resume
        // at once.
        drop(hold);
        let told = match patience {
            _ if !rests => true,
            Patience::Forever => false,
            Patience::None => self.is_left_suspended(&id, version).await,
        };
        if told {
            drop(self);
            live.tell(&id, outcome);
        } else if let Err(error) = self.inner.store.watch(id.as_str()).await {
            live.tell(&id, Err(Arc::new(Error::Store(error))));
        }
    }

    /// Whether an execution is still suspended once everything that it has called has gone as far as it can, or will not be resumed
    /// here. If not, another run reports its outcome.
    async fn is_left_suspended(&self, id: &ExecutionId, version: u64) -> bool {
        self.inner.live.at_rest(id).await;
        // A failing store is reported to all that wait.
        let task = self.inner.store.promise(id.as_str()).await.ok().flatten().and_then(|(_, task)| task);
        let takes_up = self.inner.scope != Scope::Nothing;
        !takes_up || task.is_some_and(|task| (task.state, task.version) == (TaskState::Suspended, version))
    }

    /// Resumes an execution: what it waited for settled in the moment in which it was suspended.
    fn go_on(self, hold: Hold, id: ExecutionId, patience: Patience) {
        let busy = self.inner.live.busy(&id);
        drop(hold);
        tokio::spawn(async move {
            // Until the execution is held again.
            let _busy = busy;
            let resumed = self.resume(&id, patience).await;
            // An execution that had ended is not run again, and does not ask.
            self.inner.live.was_taken_back(&id);
            if let Err(error) = resumed {
                self.inner.live.tell(&id, Err(Arc::new(error)));
            }
        });
    }

    /// Handles an execution that another host has taken: callers that wait for it here keep waiting, and it is resumed if it is offered
    /// again.
    fn goes_elsewhere(self, hold: Hold, id: ExecutionId, patience: Patience) {
        let busy = self.inner.live.busy(&id);
        drop(hold);
        tokio::spawn(async move {
            let _busy = busy;
            if let Err(error) = self.look_again(&id, patience).await {
                self.inner.live.tell(&id, Err(Arc::new(error)));
            }
        });
    }

    async fn drive_and_conclude(&self, job: Job, seat: Option<Seat>, started: Instant) -> Result<Concluded, Error> {
        let bridge = Arc::clone(&job.bridge);
        let ending = {
            let seat = async {
                let seat = match seat {
                    Some(seat) => seat,
                    None => {
                        let _waiting = metrics::WAITING.one();
                        self.inner.instances.seat().await
                    }
                };
                bridge.make_room().await;
                seat
            };
            let seat = tokio::select! {
                biased;
                () = bridge.canceled() => None,
                seat = seat => Some(seat),
            };
            let ending = match seat {
                None => Ending::Stopped(Stop::Canceled),
                Some(_seat) => drive_with_images(job).await,
            };
            bridge.leave_room();
            ending
        };
        // An effect that must not be interrupted ends before the end of the run is reported.
        drop(bridge.block().await);
        Ok(match self.conclude(&bridge, ending).await? {
            Concluded::Over(report) => Concluded::Over(Report { wall: started.elapsed(), ..report }),
            Concluded::GoOn => Concluded::GoOn,
            Concluded::TakenBack => Concluded::TakenBack,
            Concluded::Lost => Concluded::Lost,
        })
    }

    /// Ends a run that a bug of the host has broken off, as a crash would have: what was submitted is durable, and nothing is added.
    async fn give_up(&self, bridge: &Bridge) -> Error {
        let submitted = bridge.conclude();
        drop(bridge.block().await);
        let durable = bridge.durable(submitted).await;
        let panicked = || everstep_store::Error::Poisoned("the run panicked".to_owned());
        Error::Store(durable.err().map_or_else(panicked, everstep_store::Error::from))
    }
}
