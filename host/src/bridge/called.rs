//! Functions that a guest calls, as children or as detached executions.

use super::about::too_deep;
use super::fault::unavailable;
use super::{Bridge, Facts, Fault, State, Step};
use crate::guest_error::{ErrorCode, GuestError};
use crate::id::{Digest, ExecutionId};
use crate::json;
use everstep_store::operation::{NewPromise as StoredPromise, Operation, Settlement as Settle};
use everstep_store::record::{NEVER, tag};
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

impl Called {
    /// Creates the execution as promise `number` of the caller, in the commit that records the call.
    pub(super) fn create(self, facts: &Facts, state: &mut State, number: u64, deadline_ms: Option<u64>) {
        state.promises.note_asked();
        let (invocation, target, policy) = self.invocation(facts, number);
        let mut tags = invocation.tags(&target);
        tags.extend([own_branch(facts.id_of(number))]);
        let create = facts.creation(number, invocation.param(), tags, deadline_ms);
        state.submit_soon(facts, Entry { blobs: policy.into_iter().collect(), ..Entry::of(create) });
    }

    /// Starts the function once as a detached execution; returns its id.
    pub(crate) async fn detach(
        self,
        bridge: &Bridge,
        step: &Step<'_>,
        timeout_ms: Option<u64>,
    ) -> Result<String, Fault> {
        let facts = &bridge.facts;
        // Not the number of the step, because an approval may come before it; in a replay it is still the same.
        let number = bridge.next_step();
        let id = detached_id(&facts.id, number);
        let fits = json::check_depth(&self.args).map_err(|_| too_deep("args"));
        let fits = fits.and_then(|()| facts.fits_the_store("the call", self.args.len() as u64));
        let (invocation, target, policy) = self.invocation(facts, number);
        let timeout_ms = facts.bounded_by_rule(step, "", timeout_ms);
        let now_ms = facts.now_ms();
        let timeout_at = timeout_ms.map_or(NEVER, |timeout| now_ms.saturating_add(timeout));
        let (param, mut tags) = (invocation.param(), invocation.tags(&target));
        facts.descent.mark_detached(&mut tags);
        tags.extend([own_branch(id.clone())]);
        let new = StoredPromise { id: id.clone(), timeout_at, param, tags: tags.into() };
        let effect = async |repeated: bool| {
            fits?;
            // One that was created before a crash has been counted already.
            if !repeated || facts.store.promise(&id).await.map_err(unavailable)?.is_none() {
                facts.descent.take(&facts.grants.lineage(), true)?;
            }
            if let Some(policy) = policy {
                facts.ledger.append(Entry { blobs: vec![policy], ..Entry::default() });
            }
            let created = facts.ledger.operate(Operation::PromiseCreate(new)).await.map_err(unavailable)?;
            created.answer.map(|_| id).map_err(|refusal| GuestError::new(ErrorCode::Failed, refusal.to_string()))
        };
        bridge.external(step, effect).await
    }

    /// The call of a step as a promise carries it, the address of the group that runs it, and the policy to keep in the store: that of the
    /// caller narrowed to what the function may do, `None` if it is the same.
    fn invocation(self, facts: &Facts, number: u64) -> (Invocation, String, Option<(Digest, Blob)>) {
        let Self { function, args, target } = self;
        let (policy, kept) = match facts.grants.policy.for_function(&function) {
            Cow::Borrowed(_) => (facts.grants.digest, None),
            Cow::Owned(narrowed) => {
                let policy = narrowed.digest();
                (policy, Some((policy, narrowed.canonical().into_bytes().into())))
            }
        };
        let target = target.unwrap_or_else(|| facts.terms.target.to_string());
        let (component, trace) = (facts.terms.component, facts.trace.of_step(number));
        (Invocation { function, args, component, policy, trace }, target, kept)
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

/// The tag by which a worker in another language gets to see what the execution has made so far.
fn own_branch(id: String) -> (String, String) {
    (tag::BRANCH.to_owned(), id)
}

/// The id of a detached execution: the same whenever the step is repeated.
fn detached_id(of: &ExecutionId, number: u64) -> String {
    let root = of.root();
    let hash = blake3::hash(of.promise(number).to_string().as_bytes()).to_hex();
    let room = ExecutionId::LONGEST - everstep_store::DETACHED;
    format!("{}:d{}", &root[..root.len().min(room)], &hash[..16])
}
