//! A guest's operations on a connection, as durable effects.

use super::effect::{Bounds, Client, Closed, ClosedBy, Connection, Event, Message, Opening, Unsent};
use super::stored::{Cause, Stored};
use crate::bridge::{Bridge, Effect, Lost, Performed, Performing};
use crate::capability::http::headers::add_trace;
use crate::clock;
use crate::grants::Grants;
use crate::guest_error::{ErrorCode, GuestError};
use crate::policy::{self, WebSocketTerms};
use serde_json::json;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The kinds of the steps.
pub(super) const CONNECT_KIND: &str = "websocket.connect";
pub(super) const RECEIVE_KIND: &str = "websocket.receive";

/// A connection that a run has made. It is closed when the run drops it.
pub(super) struct Open {
    connection: Arc<Connection>,
    /// The receivers of the next messages, in the order of their steps.
    wanted: mpsc::UnboundedSender<oneshot::Sender<Event>>,
    /// The task that serves them ends when this is dropped.
    _alive: oneshot::Sender<()>,
}

/// The effect that makes a connection.
pub(super) struct Connect {
    pub(super) grants: Arc<Grants>,
    pub(super) opening: Opening,
}

/// The effect that waits for a message.
pub(super) struct Receive {
    pub(super) connection: u64,
}

impl Open {
    fn new(connection: Connection, bridge: Weak<Bridge>, rule: String) -> Self {
        let connection = Arc::new(connection);
        let (wanted, wants) = mpsc::unbounded_channel();
        let (alive, gone) = oneshot::channel();
        let served = Arc::clone(&connection);
        tokio::spawn(async move {
            let ended = async {
                served.ended().await;
                if let Some(bridge) = bridge.upgrade() {
                    bridge.note_closed(&rule);
                }
            };
            tokio::select! {
                _ = futures::future::join(serve(&served, wants), ended) => {}
                _ = gone => {}
            }
        });
        Self { connection, wanted, _alive: alive }
    }

    /// Sends a message.
    pub(super) async fn send(&self, message: Message) -> Result<(), GuestError> {
        self.connection.send(message).await.map_err(|unsent| match unsent {
            Unsent::TooLarge { max } => {
                GuestError::new(ErrorCode::LimitExceeded, format!("the message is larger than the {max} bytes allowed"))
            }
            Unsent::Closed(closed) => not_open(&Stored::from(Event::Closed(closed))),
        })
    }

    /// Closes the connection.
    pub(super) async fn close(&self, code: u16, reason: &str) {
        self.connection.close(code, reason).await;
    }

    /// Requests the next message after those that were requested before.
    fn want(&self) -> oneshot::Receiver<Event> {
        let (reply, event) = oneshot::channel();
        // On an error the receiver gets no reply.
        let _ = self.wanted.send(reply);
        event
    }
}

/// The error for a guest that sends over a connection which is gone with its host.
pub(super) fn lost() -> GuestError {
    not_open(&Stored::recovered())
}

fn not_open(closed: &Stored) -> GuestError {
    let why = match closed {
        Stored::Closed { cause, .. } => cause.name(),
        Stored::Text(_) | Stored::Binary(_) => "",
    };
    GuestError::new(ErrorCode::Failed, format!("the connection is closed ({why})"))
}

/// Hands messages to the receivers in their order; if a receiver is gone, its message goes to the next one.
async fn serve(connection: &Connection, mut wants: mpsc::UnboundedReceiver<oneshot::Sender<Event>>) {
    let mut left = None;
    while let Some(mut reply) = wants.recv().await {
        let event = match left.take() {
            Some(event) => event,
            None => tokio::select! {
                event = connection.receive() => event,
                () = reply.closed() => continue,
            },
        };
        left = reply.send(event).err();
    }
}

impl Effect for Connect {
    fn kind(&self) -> &'static str {
        CONNECT_KIND
    }

    fn perform(&self, run: &Performing) -> Pin<Box<dyn Future<Output = Performed> + Send>> {
        let (grants, run, mut opening) = (Arc::clone(&self.grants), run.clone(), self.opening.clone());
        add_trace(&mut opening.headers, run.trace.as_ref());
        Box::pin(async move {
            let subject = format!("websocket {}", opening.url.authority());
            let opened = connect(&grants, &run, &opening, &subject).await;
            let protocol = opened.map(|protocol| protocol.map(|protocol| grants.secrets.scrub(&protocol).into_owned()));
            let outcome = protocol.map(|protocol| json!({ "protocol": protocol }).to_string());
            Performed::Done(outcome.map_err(|error| grants.secrets.scrub_error(error)))
        })
    }

    fn lost(&self, _: &Performing) -> Lost {
        Lost::Repeat
    }

    fn recheck(&self) -> Result<(), GuestError> {
        self.grants.ceiling(&policy::Call::Connect(policy::ConnectCall { url: &self.opening.url }), true)
    }
}

async fn connect(
    grants: &Grants,
    run: &Performing,
    opening: &Opening,
    subject: &str,
) -> Result<Option<String>, GuestError> {
    let denied = || GuestError::new(ErrorCode::Denied, format!("{subject} (no rule grants it)"));
    let WebSocketTerms { max_message, idle, .. } = grants.policy.websocket_terms(&run.rule).ok_or_else(denied)?;
    let max_message = (*max_message).min(grants.policy.limits.bytes_per_call);
    let bounds = Bounds { connect: CONNECT.min(run.time_left()), max_message, idle: *idle };
    let started = clock::instant();
    let opened = grants.opened::<Client>("network")?.connect(opening, &bounds).await;
    let (address, result) = match &opened {
        Ok(connection) => (Some(connection.address()), "ok"),
        Err(failure) => (failure.address, failure.name()),
    };
    run.note_outcome(address, 0, started.elapsed(), result);
    let connection = opened.map_err(|failure| failure.into_guest(subject))?;
    let protocol = connection.subprotocol().map(str::to_owned);
    let bridge = run.bridge.upgrade().ok_or_else(lost)?;
    bridge.note_open(&run.rule);
    let open = Open::new(connection, run.bridge.clone(), run.rule.clone());
    bridge.keep_for_run(run.id.number, Arc::new(open));
    Ok(protocol)
}

impl Effect for Receive {
    fn kind(&self) -> &'static str {
        RECEIVE_KIND
    }

    fn perform(&self, run: &Performing) -> Pin<Box<dyn Future<Output = Performed> + Send>> {
        let bridge = run.bridge.upgrade();
        let open = bridge.as_ref().and_then(|bridge| bridge.kept_for_run::<Open>(self.connection));
        let grants = bridge.map(|bridge| Arc::clone(&bridge.facts.grants));
        // Requested here, where the steps are in order.
        let event = open.map(|open| open.want());
        Box::pin(async move {
            let received = match event {
                Some(event) => event.await.map_or_else(|_| Stored::recovered(), Stored::from),
                None => Stored::recovered(),
            };
            let received = match grants {
                Some(grants) => received.without(&grants.secrets),
                None => Stored::recovered(),
            };
            Performed::Done(Ok(received.write()))
        })
    }

    fn lost(&self, _: &Performing) -> Lost {
        Lost::Settle(Ok(Stored::recovered().write()))
    }
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::Peer => "the other side closed it",
            Self::Guest => "it was closed before",
            Self::Idle => "it was idle for too long",
            Self::Refused => "a message was refused",
            Self::Failed => "it broke",
            Self::Recovered => "the host that had it is gone; connect again",
        }
    }
}

impl From<Closed> for Stored {
    fn from(Closed { by, code, reason }: Closed) -> Self {
        let cause = match by {
            ClosedBy::Server => Cause::Peer,
            ClosedBy::Guest => Cause::Guest,
            ClosedBy::Idle => Cause::Idle,
            ClosedBy::TooLarge | ClosedBy::Violation => Cause::Refused,
            ClosedBy::Lost => Cause::Failed,
        };
        Self::Closed { cause, code, reason }
    }
}
