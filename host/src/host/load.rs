//! Loads what executions need to run: components and policies, from the store or from the caller.

use super::component::Component;
use super::{Error, Inner};
use crate::blocking::blocking;
use crate::bridge::{Account, Bridge, Descent, Facts, Patience, State, Terms};
use crate::capability::files::{Given, Recorded, open_images, recorded};
use crate::grants::Grants;
use crate::id::{Digest, ExecutionId};
use crate::policy::{Limits, Policy};
use crate::trace::RunTrace;
use crate::turns::{FunctionInfo, Loaded, Unfound};
use everstep_store::journal::{History, Journal};
use everstep_store::seal::Tail;
use everstep_store::seam::{Ledger, NoLedger, Ticket};
use everstep_store::{Execution, Kinship, Lineage, Progress};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// CPU time that a component may take to list its functions.
const TO_DESCRIBE: Duration = Duration::from_secs(1);

/// A stored execution.
pub(super) struct Stored {
    /// Rebuilt from the journal.
    pub(super) state: State,
    /// Where the journal continues.
    pub(super) tail: Tail,
    /// What it says of images.
    pub(super) images: Vec<Recorded>,
}

/// The facts of a run that changes nothing.
pub(super) fn scratch_facts(
    inner: &Inner,
    id: ExecutionId,
    function: String,
    seed: [u8; 32],
    grants: Arc<Grants>,
) -> Facts {
    let terms = Terms { component: Digest([0; 32]), version: 0, target: Arc::clone(&inner.target), deadline_ms: None };
    let (ledger, store): (Arc<dyn Ledger>, _) = (Arc::new(NoLedger), Arc::clone(&inner.store));
    let (clock, patience) = (Arc::clone(&inner.clock), Patience::None);
    let (capabilities, descent, trace) = (Arc::default(), Descent::alone(&id), RunTrace::default());
    let lines = None;
    Facts { id, function, seed, grants, capabilities, clock, ledger, lines, store, descent, terms, patience, trace }
}

/// The number of lineages whose accounts are kept although none of their executions runs: reading one costs a scan of
/// all of them.
const MAX_ACCOUNTS: usize = 1024;

/// The number of components kept linked in case they run again.
const MAX_LINKED: usize = 64;

impl Inner {
    /// Loads and links a component, once for each digest and stack size.
    pub(super) async fn load(self: &Arc<Self>, component: &Component, grants: &Grants) -> Result<Arc<Loaded>, Error> {
        let digest = component.digest;
        let wasm_stack = grants.policy.limits.wasm_stack;
        let place = {
            let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
            if components.len() >= MAX_LINKED {
                let is_used = |loaded: &Arc<Loaded>| Arc::strong_count(loaded) > 1;
                components.retain(|_, place| Arc::strong_count(place) > 1 || place.get().is_some_and(is_used));
            }
            Arc::clone(components.entry((digest, wasm_stack)).or_default())
        };
        let stack = usize::try_from(wasm_stack).unwrap_or(usize::MAX);
        // Whoever comes meanwhile waits for the one that loads it.
        let loaded = place.get_or_try_init(async || {
            let (inner, content) = (Arc::clone(self), component.content.clone());
            let loading = blocking(move || {
                let component = inner.engines.load(&content, digest, stack)?;
                let functions = inner.engines.functions(&component);
                Loaded::link(component, functions.and_then(|functions| serde_json::from_slice(&functions).ok()))
            });
            let panicked = |error| Error::Start(std::io::Error::other(error));
            Ok::<_, Error>(Arc::new(loading.await.map_err(panicked)??))
        });
        Ok(Arc::clone(loaded.await?))
    }

    pub(super) async fn check_function(
        &self,
        component: &Loaded,
        grants: &Grants,
        function: &str,
    ) -> Result<(), Error> {
        let functions = self.describe(component, grants).await?;
        let function = function.to_owned();
        match component.has(&function, functions) {
            Ok(()) => Ok(()),
            Err(Unfound::Ambiguous(meant)) => Err(Error::AmbiguousFunction { function, meant }),
            Err(Unfound::Unknown) => {
                let available = functions.iter().map(|function| function.name.clone()).collect();
                Err(Error::UnknownFunction { function, available })
            }
        }
    }

    /// Checks that a call can be made of a component: it has the function, and the arguments fit if the function has types.
    pub(super) async fn check_call(
        &self,
        component: &Loaded,
        grants: &Grants,
        function: &str,
        args: &str,
    ) -> Result<(), Error> {
        self.check_function(component, grants, function).await?;
        component.check_args(function, args).map_err(|misfit| Error::Misfit { reason: misfit.to_string() })
    }

    /// The functions of a component. It lists them outside of any execution and without any grant.
    pub(super) async fn describe<'l>(&self, loaded: &'l Loaded, grants: &Grants) -> Result<&'l [FunctionInfo], Error> {
        if let Some(functions) = loaded.known_functions() {
            return Ok(functions);
        }
        // The semaphore is never closed.
        let _permit = self.describing.acquire().await;
        let _room = self.instances.room(grants.policy.limits.memory).await;
        let scratch = || {
            let limits = &grants.policy.limits;
            let grants =
                Arc::new(Grants::for_description(Limits { cpu: limits.cpu.min(TO_DESCRIBE), ..limits.clone() }));
            let state = State::empty(Journal::new(History::default()), Progress::default());
            let facts = scratch_facts(self, ExecutionId::random(), String::new(), [0; 32], grants);
            Bridge::new(facts, Arc::clone(&self.instances), Ticket::default(), state)
        };
        let functions = loaded.functions(scratch).await.map_err(|reason| Error::Describe { reason })?;
        // Names and descriptions always serialise.
        self.engines.keep_functions(&loaded.component, &serde_json::to_vec(functions).unwrap_or_default());
        Ok(functions)
    }

    /// The place of a stored execution in its lineage; reads the used budget from the store if this host does not know it. A root that has
    /// never been run has used nothing.
    pub(super) async fn descent(&self, id: &ExecutionId, was_run: bool) -> Result<Descent, Error> {
        let tags = self.store.promise(id.as_str()).await?.map(|(promise, _)| promise.tags).unwrap_or_default();
        let kinship = Kinship::of(id, &tags);
        let used = async || match was_run || kinship.root != *id {
            true => self.store.lineage(&kinship.root).await,
            false => Ok(Lineage::default()),
        };
        let account = self.account(&kinship.root, used).await?;
        Ok(Descent::new(account, kinship))
    }

    /// The place of an execution that is about to be created: it is a root.
    pub(super) async fn root(&self, id: &ExecutionId) -> Result<Descent, Error> {
        let account = self.account(id, async || Ok(Lineage::default())).await?;
        Ok(Descent::new(account, Kinship::of(id, &BTreeMap::new())))
    }

    async fn account<F>(&self, root: &ExecutionId, used: impl FnOnce() -> F) -> Result<Arc<Account>, Error>
    where
        F: Future<Output = Result<Lineage, everstep_store::Error>>,
    {
        // Locked while the store is read, so that two executions of one lineage get one account.
        let mut accounts = self.accounts.lock().await;
        if let Some(account) = accounts.get(root) {
            return Ok(Arc::clone(account));
        }
        let account = Arc::new(Account::new(root.clone(), used().await?));
        if accounts.len() >= MAX_ACCOUNTS {
            accounts.retain(|_, account| Arc::strong_count(account) > 1);
        }
        accounts.insert(root.clone(), Arc::clone(&account));
        Ok(account)
    }

    /// The component of an execution.
    pub(super) async fn stored_component(&self, execution: &Execution) -> Result<Component, Error> {
        let digest = execution.component;
        let missing = || Error::Missing { what: "component", digest, id: execution.id.clone() };
        let content = self.store.blob_later(&digest).await?.ok_or_else(missing)?;
        Ok(Component { digest, content })
    }

    /// The policy that an execution is pinned to.
    pub(super) async fn stored_policy(&self, execution: &Execution) -> Result<Policy, Error> {
        let digest = execution.policy;
        let missing = || Error::Missing { what: "policy", digest, id: execution.id.clone() };
        let policy = self.store.blob(&digest).await?.ok_or_else(missing)?;
        Ok(Policy::from_canonical(&String::from_utf8_lossy(&policy))?)
    }

    /// The policy that an execution is pinned to, opened; an open one is not read again.
    pub(super) async fn stored_grants(&self, execution: &Execution) -> Result<Arc<Grants>, Error> {
        let digest = execution.policy;
        let missing = || Error::Missing { what: "policy", digest, id: execution.id.clone() };
        match self.grants.known(&digest) {
            Some(grants) => {
                self.store.blob_later(&digest).await?.ok_or_else(missing)?;
                self.grants.check_log(&grants.policy)?;
                Ok(grants)
            }
            None => Ok(self.grants.open(&self.stored_policy(execution).await?)?),
        }
    }

    /// The images of an execution: those that its journal has, and unless `only_pinned` the others, as they are now.
    pub(super) async fn images(
        &self,
        grants: &Grants,
        recorded: &[Recorded],
        only_pinned: bool,
    ) -> Result<Vec<Given>, Error> {
        Ok(open_images(grants, recorded, only_pinned, &self.digests, &self.store).await?)
    }

    /// A stored execution as its journal says.
    pub(super) async fn state(&self, execution: &Execution) -> Result<Stored, Error> {
        let corrupted = |source| Error::Corrupted { id: execution.id.clone(), source };
        let (journal, tail) = self.store.journal(execution).await.map_err(|error| match error {
            foreign @ everstep_store::Error::Foreign { .. } => Error::Foreign(foreign),
            error => Error::Store(error),
        })?;
        let history = History::load(journal).map_err(corrupted)?;
        if history.component().is_some_and(|component| component != execution.component) {
            return Err(Error::Foreign(everstep_store::Error::Foreign { id: execution.id.clone() }));
        }
        let images = recorded(&history).map_err(corrupted)?;
        let state = State::new(Journal::new(history), execution.progress.clone()).map_err(corrupted)?;
        Ok(Stored { state, tail, images })
    }
}
