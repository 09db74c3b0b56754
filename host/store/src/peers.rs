//! Several hosts over the same tables: the messages between them, and how a host detects that another one is gone.
//!
//! Only the tables decide what holds: every change is fenced there. A message from another host only makes this host look at once,
//! not later.

use super::operation::Event;
use super::record::PromiseState;
use super::{Applied, Backend, Error};
use std::sync::Weak;

/// The other hosts of the same tables.
pub trait Peers: Send + Sync {
    /// The name of this host, different from that of every other one: its tasks are held under it.
    fn name(&self) -> &str;

    /// Makes this host known to the others; `ear` receives their messages from now on, in place of one that joined before. What they
    /// committed earlier is in the tables.
    ///
    /// # Errors
    /// Others cannot reach this host, or it cannot reach one that is running.
    fn join(&self, ear: Weak<dyn Ear>) -> Result<(), Error>;

    /// Whether a host of that name is running.
    fn is_there(&self, name: &str) -> bool;

    /// Whether no other host is known to be running.
    fn is_alone(&self) -> bool;

    /// Tells the others what this host has committed.
    fn tell(&self, applied: &[Applied]);

    /// Sets whether this host tends a root and its lineage, or leaves them to the others; a root that has ended is
    /// forgotten.
    fn tend(&self, root: &str, tends: bool);

    /// Whether another host tends a root.
    fn is_tended(&self, root: &str) -> bool;
}

/// Receives the messages of other hosts. Called on threads of its own, in the order of each host.
pub trait Ear: Send + Sync {
    /// Another host has committed this.
    fn heard(&self, heard: Heard);

    /// A host of that name was running, and is gone.
    fn gone(&self, name: &str);
}

/// A message about what another host has committed; the tables have the rest.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Heard {
    /// A promise of that id was settled.
    Settled(String),
    /// A task may be acquired.
    Execute {
        /// The task.
        id: String,
        /// Its version.
        version: u64,
        /// The address of the group that may acquire it.
        target: String,
    },
    /// A promise that an address listens to was settled.
    Unblock {
        /// The address.
        address: String,
        /// The promise.
        promise: String,
    },
}

impl Heard {
    /// The message about an event.
    pub fn of(event: &Event) -> Self {
        match event {
            Event::Settled(promise) => Self::Settled(promise.id.clone()),
            Event::Execute { id, version, target } => {
                Self::Execute { id: id.clone(), version: *version, target: target.clone() }
            }
            Event::Unblock { address, promise } => {
                Self::Unblock { address: address.clone(), promise: promise.id.clone() }
            }
        }
    }

    /// The event, with what the tables say; `None` if they say otherwise by now.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn event(self, backend: &dyn Backend) -> Result<Option<Event>, Error> {
        let settled = |id: &str| {
            let found = backend.promise(id)?.map(|(promise, _)| promise);
            Ok::<_, Error>(found.filter(|promise| promise.state != PromiseState::Pending))
        };
        Ok(match self {
            Self::Settled(id) => settled(&id)?.map(Event::Settled),
            Self::Execute { id, version, target } => Some(Event::Execute { id, version, target }),
            Self::Unblock { address, promise } => settled(&promise)?.map(|promise| Event::Unblock { address, promise }),
        })
    }
}

/// The tasks that may be acquired, as events.
///
/// # Errors
/// The tables cannot be read.
pub fn offered(backend: &dyn Backend) -> Result<Vec<Event>, Error> {
    let mut offered = Vec::new();
    for id in backend.offers()? {
        if let Some((promise, Some(task))) = backend.promise(&id)?
            && let Some(target) = promise.target()
        {
            offered.push(Event::Execute { id, version: task.version, target: target.to_owned() });
        }
    }
    Ok(offered)
}
