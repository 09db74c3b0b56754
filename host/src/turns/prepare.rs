//! What a component makes of a file of an image, in an instance of its own that is granted nothing.
//!
//! It is the result of a pure function: the instance is fresh, its limits are constants, and it has no input but the path and the content.
//! So no execution can make something of a file that another one then takes for it, and whether it is kept or made anew shows in no journal.

use super::component::Entry;
use super::drive::{new_store, stopped};
use super::{Ctx, Loaded};
use crate::bindings::DurablePre;
use crate::bindings::exports::everstep::host::guest::Progress;
use crate::bridge::{Bridge, Descent, Facts, Fault, Patience, State, Stop};
use crate::engine::Made;
use crate::grants::Grants;
use crate::id::ExecutionId;
use crate::policy::Limits;
use crate::trace::RunTrace;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use everstep_store::Progress as Recorded;
use everstep_store::journal::{History, Journal};
use everstep_store::seam::{NoLedger, Ticket};
use serde_json::json;
use std::sync::Arc;
use wasmtime::Store;

/// The durable function of a component that makes it.
const PREPARE: &str = "prepare";

/// The memory of such an instance, and the most bytes of what it makes, in base64.
const MEMORY: u64 = 512 << 20;
const RESULT: u64 = 16 << 20;

/// The name of the execution that such an instance believes to be.
const ID: &str = "prepare";

/// What the component of an execution makes of a file, whose content is read if it was not made before. `file` is a text that says which file
/// it is and what it holds.
///
/// The CPU time counts as that of the execution. To make something takes longer than to do without, so an execution that has used a quarter
/// of its own has nothing made any more.
///
/// # Errors
/// The content cannot be read, or the host has no instance for it.
pub(crate) async fn prepared(
    component: &Loaded,
    bridge: &Bridge,
    path: &str,
    file: &[u8],
    content: impl Future<Output = Result<Vec<u8>, Fault>>,
) -> Result<Made, Fault> {
    let Entry::Guest(guest) = &component.entry else { return Ok(None) };
    let make = async || {
        let args = json!({ "path": path, "content": BASE64.encode(content.await?) }).to_string();
        Ok(made(new_store(component, clean(bridge)?), guest, &args).await?)
    };
    let may = bridge.has_time_to_spare();
    component.component.prepared.get(&component.component, file, may, make).await
}

/// Calls the function in a new instance.
async fn made(mut store: Store<Ctx>, guest: &DurablePre<Ctx>, args: &String) -> Result<Option<Vec<u8>>, Stop> {
    let instance = match guest.instantiate_async(&mut store).await {
        Ok(instance) => instance,
        Err(_) if store.data().limiter.hit().is_some() => return Ok(None),
        Err(error) => return Err(stopped(error)),
    };
    // However else it ends is its own affair.
    let result = match instance.everstep_host_guest().call_start(&mut store, PREPARE, args).await {
        Ok(Progress::Done(Ok(result))) if result.len() as u64 <= RESULT => result,
        _ => return Ok(None),
    };
    let text: Option<String> = serde_json::from_str(&result).unwrap_or_default();
    Ok(text.and_then(|text| BASE64.decode(text).ok()))
}

/// The bridge of an execution that is not stored, and is the same for all.
fn clean(outer: &Bridge) -> Result<Arc<Bridge>, Stop> {
    let limits = Limits { memory: MEMORY, result: RESULT, ..Limits::default() };
    let id = ExecutionId::new(ID).map_err(|error| Stop::Contract(error.to_string()))?;
    let Facts { clock, store, terms, .. } = &outer.facts;
    let facts = Facts {
        descent: Descent::alone(&id),
        id,
        function: PREPARE.to_owned(),
        seed: [0; 32],
        grants: Arc::new(Grants::for_preparing(limits)),
        capabilities: Arc::default(),
        clock: Arc::clone(clock),
        ledger: Arc::new(NoLedger),
        lines: None,
        store: Arc::clone(store),
        terms: terms.clone(),
        patience: Patience::None,
        trace: RunTrace::default(),
    };
    let state = State::empty(Journal::new(History::default()), Recorded::default());
    Ok(Bridge::new(facts, outer.instances(), Ticket::default(), state))
}
