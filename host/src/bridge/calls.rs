//! Functions that a guest calls, as children or as detached executions.

use super::promises::too_deep;
use super::settling::unavailable;
use super::state::Promise;
use super::{Bridge, Fault, State, Step};
use crate::guest_error::{ErrorCode, GuestError};
use crate::id::{Digest, ExecutionId};
use crate::json;
use everstep_store::journal::Role;
use everstep_store::operation::{NewPromise as StoredPromise, Operation, Settlement as Settle};
use everstep_store::record::NEVER;
use everstep_store::seam::{Entry, Store};
use everstep_store::{Blob, Failure, Invocation};
use std::borrow::Cow;

/// A function that a guest calls.
pub(crate) struct Called {
    pub(crate) function: String,
    pub(crate) args: String,
    /// The address of the worker group that runs it; `None`: that of this host.
    pub(crate) target: Option<String>,
}

impl Bridge {
    /// Calls a function: its execution is created in the commit that records the call.
    pub(super) fn call(&self, state: &mut State, number: u64, called: Called, deadline_ms: Option<u64>) {
        state.promises.note_asked();
        let (invocation, target, policy) = self.invocation(called);
        let create = self.facts.creation(number, invocation.param(), invocation.tags(&target), deadline_ms);
        state.submit_soon(&self.facts, Entry { blobs: policy.into_iter().collect(), ..Entry::of(create) });
    }

    /// The call as a promise carries it, the address of the group that runs it, and the policy to keep in the store: that of the
    /// caller narrowed to what the function may do, `None` if it is the same.
    fn invocation(&self, called: Called) -> (Invocation, String, Option<(Digest, Blob)>) {
        let Called { function, args, target } = called;
        let (policy, kept) = match self.facts.grants.policy.for_function(&function) {
            Cow::Borrowed(_) => (self.facts.grants.digest, None),
            Cow::Owned(narrowed) => {
                let policy = narrowed.digest();
                (policy, Some((policy, narrowed.canonical().into_bytes().into())))
            }
        };
        let target = target.unwrap_or_else(|| self.facts.terms.target.to_string());
        (Invocation { function, args, component: self.facts.terms.component, policy }, target, kept)
    }

    /// Starts a function once as a detached execution; returns its id.
    pub(crate) async fn spawn_detached(
        &self,
        step: &Step<'_>,
        called: Called,
        timeout_ms: Option<u64>,
    ) -> Result<String, Fault> {
        // Not the number of the step, because an approval may come before it; in a replay it is still the same.
        let number = self.next_step();
        let id = detached_id(&self.facts.id, number);
        let shallow = json::check_depth(&called.args).map_err(|_| too_deep("args"));
        let (invocation, target, policy) = self.invocation(called);
        let timeout_ms = self.facts.bounded_by_rule(step, "", timeout_ms);
        let now_ms = self.facts.now_ms();
        let timeout_at = timeout_ms.map_or(NEVER, |timeout| now_ms.saturating_add(timeout));
        let (param, mut tags) = (invocation.param(), invocation.tags(&target));
        self.facts.descent.mark_detached(&mut tags);
        let new = StoredPromise { id: id.clone(), timeout_at, param, tags };
        self.external(step, async |repeated| {
            shallow?;
            // One that was created before a crash has been counted already.
            if !repeated || self.facts.store.promise(&id).await.map_err(unavailable)?.is_none() {
                self.facts.descent.take(&self.facts.grants.lineage(), true)?;
            }
            if let Some(policy) = policy {
                self.facts.ledger.append(Entry { blobs: vec![policy], ..Entry::default() });
            }
            let created = self.facts.ledger.operate(Operation::PromiseCreate(new)).await.map_err(unavailable)?;
            created.answer.map(|_| id).map_err(|refusal| GuestError::new(ErrorCode::Failed, refusal.to_string()))
        })
        .await
    }

    /// Makes a child fail when it halts, or at once if it has halted. The wish is durable in this journal before the child is read, and
    /// the host that halts the child reads this journal: so one of the two sees the other.
    pub(crate) async fn fail_on_halt(&self, step: &Step<'_>, number: u64) -> Result<(), Fault> {
        let is_child = |promise: &Promise| promise.called && promise.role == Role::Child;
        let child =
            self.state().promises.get(number).is_some_and(is_child).then(|| self.facts.id.child(number)).flatten();
        let Some(child) = child else {
            let error = GuestError::new(ErrorCode::Invalid, format!("{number} is no call of this execution"));
            return self.internal(step, |_| Err(error));
        };
        self.external(step, async |_| {
            let failing = failing_halted(&*self.facts.store, &child).await.map_err(unavailable)?;
            for operation in failing.into_iter().flatten() {
                self.facts.ledger.operate(operation).await.map_err(unavailable)?;
            }
            Ok(())
        })
        .await
    }
}

/// The operations that make a halted execution fail and end what it has called; `None` if it has not halted.
pub(crate) async fn failing_halted(
    store: &dyn Store,
    id: &ExecutionId,
) -> Result<Option<[Operation; 2]>, everstep_store::Error> {
    let execution = store.execution(id).await?.filter(|execution| execution.state == everstep_store::State::Halted);
    let Some(failure) = execution.and_then(|execution| execution.progress.error) else { return Ok(None) };
    let (state, value) = everstep_store::value_of(&Err(halted(&failure)));
    let id = id.to_string();
    Ok(Some([Operation::PromiseSettle(Settle { id: id.clone(), state, value }), Operation::CancelTree { id }]))
}

/// The error that a caller gets for a child that halted.
pub(super) fn halted(failure: &Failure) -> GuestError {
    GuestError::new(ErrorCode::Failed, format!("it halted: {}", failure.message))
}

/// The id of a detached execution: the same whenever the step is repeated.
fn detached_id(of: &ExecutionId, number: u64) -> String {
    let root = of.root();
    let hash = blake3::hash(of.promise(number).to_string().as_bytes()).to_hex();
    let room = ExecutionId::LONGEST - everstep_store::DETACHED;
    format!("{}:d{}", &root[..root.len().min(room)], &hash[..16])
}
