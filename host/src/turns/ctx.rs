//! The contents of an instance's store: everything that host functions need.

use super::Loaded;
use crate::bridge::Bridge;
use crate::engine::{Limiter, Limits, wasi};
use crate::policy;
use std::sync::Arc;

/// See the module. State that the guest must not lose is in the bridge and its journal; this is rebuilt with every
/// instance.
pub(crate) struct Ctx {
    pub(crate) bridge: Arc<Bridge>,
    /// The component, for other instances of it; none for one that is no execution.
    pub(crate) component: Option<Arc<Loaded>>,
    pub(crate) limiter: Limiter,
    /// Created by the first WASI call of a guest.
    pub(crate) wasi: Option<wasi::VirtualWasi>,
    /// Its files.
    pub(crate) files: wasi::Files,
    /// The arguments of a program, its name first.
    pub(crate) argv: Vec<String>,
    /// The guest's panic message, if it left one before it trapped.
    pub(crate) panic: Option<String>,
}

impl Ctx {
    pub(super) fn new(bridge: Arc<Bridge>) -> Self {
        let limits = store_limits(bridge.facts.limits(), bridge.most_memory());
        let limiter = Limiter::new(limits, bridge.footprint());
        let (files, argv) = (wasi::Files::default(), vec!["guest".to_owned()]);
        Self { bridge, component: None, limiter, wasi: None, files, argv, panic: None }
    }
}

/// Core instances, memories and tables of one component: more than the largest known guests use.
const MAX_ITEMS: usize = 100;

/// The limits of an instance; `most` is the memory that the host has for one.
fn store_limits(limits: &policy::Limits, most: u64) -> Limits {
    Limits {
        memory: limits.memory.min(most),
        is_of_host: most < limits.memory,
        table_elements: limits.table_elements,
        instances: MAX_ITEMS,
        memories: MAX_ITEMS,
        tables: MAX_ITEMS,
    }
}
