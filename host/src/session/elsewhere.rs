//! A session that other workers run: no server tells what it prints and asks, so that is read from its journal and from the server.

use super::drive::Event;
use crate::host::{Error, Following, Reader};
use crate::id::{ExecutionId, PromiseId};
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// How long to wait from look to look: longer and longer while nothing happens.
const SOON: Duration = Duration::from_millis(20);
const LATE: Duration = Duration::from_millis(500);

/// Looks from time to time, as long as it exists.
pub(super) struct Elsewhere(UnboundedSender<oneshot::Sender<()>>);

struct Looking {
    reader: Reader,
    id: ExecutionId,
    /// What it prints from now on.
    following: Following,
    /// What was asked and is open.
    asked: HashSet<PromiseId>,
    events: UnboundedSender<Event>,
}

impl Elsewhere {
    /// Begins to look; what was printed before is passed over.
    ///
    /// # Errors
    /// There is no such execution, or the store failed.
    pub(super) async fn start(reader: Reader, id: ExecutionId, events: UnboundedSender<Event>) -> Result<Self, Error> {
        let mut following = reader.follow(&id).await?;
        following.each(drop).await?;
        let (sender, requests) = unbounded_channel();
        let looking = Looking { reader, id, following, asked: HashSet::new(), events };
        tokio::spawn(looking.go_on(requests));
        Ok(Self(sender))
    }

    /// Looks now, and often for a while; returns once everything of this moment was reported.
    pub(super) async fn look(&self) {
        let (done, looked) = oneshot::channel();
        // It looks for as long as this exists.
        let _ = self.0.send(done);
        let _ = looked.await;
    }
}

impl Looking {
    async fn go_on(mut self, mut requests: UnboundedReceiver<oneshot::Sender<()>>) {
        let mut pause = SOON;
        loop {
            let request = tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => Some(request),
                    None => return,
                },
                () = tokio::time::sleep(pause) => None,
            };
            // What a server in trouble does not say now is looked for again.
            let something = self.look().await.unwrap_or_else(|error| {
                tracing::debug!(%error, "a session cannot be looked at");
                false
            });
            pause = if something || request.is_some() { SOON } else { (pause * 2).min(LATE) };
            // Nobody may wait for it any more.
            let _ = request.map(|request| request.send(()));
        }
    }

    /// Reports what is new; returns whether something was.
    async fn look(&mut self) -> Result<bool, Error> {
        // The output before a question is in the journal before the question is on the server.
        let open = self.reader.promises_within(&self.id).await?;
        let (mut something, events) = (false, &self.events);
        let output = |output| {
            something = true;
            // The session may be gone.
            let _ = events.send(Event::Output(output));
        };
        self.following.each(output).await?;
        let mut still_open = HashSet::new();
        for promise in open {
            still_open.insert(promise.id.clone());
            if !self.asked.contains(&promise.id) {
                something = true;
                let _ = self.events.send(Event::Question(promise));
            }
        }
        self.asked = still_open;
        Ok(something)
    }
}
