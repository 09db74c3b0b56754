//! Several hosts over the same tables: what they tell each other, and how one learns that another is gone.
//!
//! The tables alone say what holds: every change is fenced there. What a host hears from another only makes it look, at once and not
//! later.

use super::operation::Event;
use super::record::PromiseState;
use super::{Applied, Backend, Error};
use std::sync::Weak;

/// The other hosts of the same tables.
pub trait Peers: Send + Sync {
    /// The name of this host, unlike that of every other one: it holds its tasks by it.
    fn name(&self) -> &str;

    /// From now on the others know of this host, and `ear` hears from them, in place of one that joined before. Whatever they committed
    /// until then is in the tables.
    ///
    /// # Errors
    /// It cannot be reached by others, or cannot reach one that is there.
    fn join(&self, ear: Weak<dyn Ear>) -> Result<(), Error>;

    /// Whether a host of that name is there.
    fn is_there(&self, name: &str) -> bool;

    /// Whether no other host is known to be there.
    fn is_alone(&self) -> bool;

    /// Tells the others what this host has committed.
    fn tell(&self, applied: &[Applied]);

    /// This host tends a root and all that belongs to it, or leaves it to the others; one that has ended is forgotten.
    fn tend(&self, root: &str, tends: bool);

    /// Whether another host tends a root.
    fn is_tended(&self, root: &str) -> bool;
}

/// Learns what other hosts do. Called on threads of its own, in the order of each host.
pub trait Ear: Send + Sync {
    /// Another host has committed that.
    fn heard(&self, heard: Heard);

    /// A host of that name was there, and is no more.
    fn gone(&self, name: &str);
}

/// What another host has committed; the tables have the rest.
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
        /// The address of the group that may.
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
    /// What another host needs to hear of an event.
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

    /// The event, with what the tables say; none if they say otherwise by now.
    ///
    /// # Errors
    /// They cannot be read.
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
