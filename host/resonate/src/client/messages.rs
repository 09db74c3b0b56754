//! The messages of a server to a worker.

use super::answer::Reader;
use super::backoff::Backoff;
use super::client::Client;
use super::transport::Unreachable;
use bytes::Bytes;
use everstep_store::record::Promise;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value as Json;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// The messages that wait for the receiver.
const WAITING: usize = 64;
/// How long a connection lasts whose loss is not taken for the failure of the one before.
const STABLE: Duration = Duration::from_secs(2);

/// A message of a server to a worker, or what became of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The server sends messages from now on. Those of before may be lost: register listeners again, and look at what they are for.
    Connected,
    /// The connection was lost, or could not be made; the reason. It is tried again. The same reason is not repeated until it has been
    /// made.
    Disconnected(String),
    /// A task may be acquired.
    Execute {
        /// The task.
        id: String,
        /// Its version.
        version: u64,
    },
    /// A promise that the worker listens to was settled.
    Unblock(Promise),
}

/// Receives until the receiver is dropped.
pub(super) fn receive(client: Client, group: String, id: String) -> mpsc::Receiver<Message> {
    let (to, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        tokio::select! {
            () = to.closed() => {}
            () = listen(&client, &group, &id, &to) => {}
        }
    });
    receiver
}

/// Connects again and again; ends once nobody receives.
async fn listen(client: &Client, group: &str, id: &str, to: &mpsc::Sender<Message>) {
    let (mut backoff, mut reported) = (Backoff::default(), None);
    loop {
        let why = match client.transport.receive(group, id).await {
            Ok(stream) => {
                reported = None;
                let opened = Instant::now();
                let Some(why) = forward(client, stream, to).await else { return };
                if opened.elapsed() >= STABLE {
                    backoff = Backoff::default();
                }
                why
            }
            Err(lost) => client.quote.quote(&lost.to_string()),
        };
        if reported.as_ref() != Some(&why) {
            reported = Some(why.clone());
            if to.send(Message::Disconnected(why)).await.is_err() {
                return;
            }
        }
        sleep(backoff.pause()).await;
    }
}

/// Passes on the messages of one connection; returns the reason that it ended, or `None` if nobody receives.
async fn forward(
    client: &Client,
    mut stream: BoxStream<'static, Result<Bytes, Unreachable>>,
    to: &mpsc::Sender<Message>,
) -> Option<String> {
    to.send(Message::Connected).await.ok()?;
    while let Some(message) = stream.next().await {
        let message = match message {
            Ok(message) => read(client, &message),
            Err(lost) => return Some(client.quote.quote(&lost.to_string())),
        };
        match message {
            Ok(message) => to.send(message).await.ok()?,
            Err(why) => tracing::warn!(why, "a message of the server cannot be read"),
        }
    }
    Some("the server has closed the stream".to_owned())
}

fn read(client: &Client, message: &[u8]) -> Result<Message, String> {
    let reader = Reader { ids: client.ids, quote: &client.quote };
    let mut message: Json = serde_json::from_slice(message).map_err(|error| error.to_string())?;
    let kind: String = reader.field(&mut message, "kind")?;
    let mut data: Json = reader.field(&mut message, "data")?;
    match &*kind {
        "execute" => {
            let mut task: Json = reader.field(&mut data, "task")?;
            let id = client.ids.received(reader.field(&mut task, "id")?);
            Ok(Message::Execute { id, version: reader.field(&mut task, "version")? })
        }
        "unblock" => Ok(Message::Unblock(reader.promise(&mut data)?)),
        other => Err(client.quote.quote(&format!("there is no message {other:?}"))),
    }
}
