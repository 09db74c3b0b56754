//! What the store of an instance holds: everything that host functions need.

use super::meter::Stopwatch;
use crate::bridge::{Bridge, Patience, Stop};
use crate::engine::{Limiter, Limits, wasi};
use crate::policy;
use std::sync::Arc;

/// See the module. All that the guest must not lose is in the bridge and its journal; this is rebuilt with every instance.
pub(crate) struct Ctx {
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) limiter: Limiter,
    /// Made by the first call of a guest that imports WASI.
    pub(crate) wasi: Option<wasi::VirtualWasi>,
    /// What the guest said before it trapped.
    pub(crate) panic: Option<String>,
    pub(super) stopwatch: Arc<Stopwatch>,
    patience: Patience,
}

impl Ctx {
    pub(super) fn new(bridge: Arc<Bridge>, patience: Patience) -> Self {
        let limits = &bridge.grants.policy.limits;
        let limiter = Limiter::new(store_limits(limits));
        let stopwatch = Arc::new(Stopwatch::new(limits.wall));
        Self { bridge, limiter, wasi: None, panic: None, stopwatch, patience }
    }

    /// Waits for promises without counting the time as running time.
    pub(crate) fn wait<'w>(
        &self,
        wanted: Option<&'w [u64]>,
    ) -> impl Future<Output = Result<Vec<u64>, Stop>> + Send + use<'w> {
        let (bridge, stopwatch, patience) = (Arc::clone(&self.bridge), Arc::clone(&self.stopwatch), self.patience);
        async move {
            stopwatch.pause();
            let delivered = bridge.wait(wanted, patience).await;
            stopwatch.resume();
            delivered
        }
    }
}

/// Core instances, memories and tables of one component: more than the largest known guests use.
const MAX_ITEMS: usize = 100;

fn store_limits(limits: &policy::Limits) -> Limits {
    Limits {
        memory: limits.memory,
        table_elements: limits.table_elements,
        instances: MAX_ITEMS,
        memories: MAX_ITEMS,
        tables: MAX_ITEMS,
    }
}
