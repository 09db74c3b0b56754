//! The client against the server of this crate, and against servers that fail.

mod captured;
mod faulty;
mod secure;
mod served;

use super::{Answered, Client, Http, Message, Options};
use crate::{Manner, Server};
use everstep_store::clock::SystemClock;
use everstep_store::operation::{NewPromise, Operation, Reply, Settlement};
use everstep_store::record::{NEVER, PromiseState, Value, tag};
use everstep_store::{Backend, MemoryStore};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "a-token-of-no-one";
const PID: &str = "p1";
const TTL: u64 = 60_000;
const TARGET: &str = "poll://any@workers";

/// A server that ends with the test.
struct Served {
    address: SocketAddr,
    url: String,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Served {
    async fn start(manner: Manner) -> Self {
        let store = Arc::new(MemoryStore::with_dialect(manner.dialect()));
        Self::over(store, manner, None, "127.0.0.1:0".parse().unwrap()).await
    }

    async fn over(store: Arc<dyn Backend>, manner: Manner, token: Option<&str>, address: SocketAddr) -> Self {
        let token = token.map(str::to_owned);
        let (clock, keys, carrier) = (Arc::new(SystemClock), None, None);
        let options = crate::Options { manner, token, keys, carrier, clock, debug: false, recorder: None };
        let server = Server::start(address, store, options).await.unwrap();
        let address = server.address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(async move {
            let _ = server.run(stopped).await.unwrap();
        });
        Self { address, url: format!("http://{address}"), stop, ended }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap();
    }
}

/// Options with a patience that a failing test is not long in reaching.
fn options() -> Options {
    Options { patience: Duration::from_secs(10), ..Options::default() }
}

async fn connect(url: &str, options: Options) -> Result<Client, super::Error> {
    let transport = Http::new(url, options.token.clone())?;
    Client::connect(Arc::new(transport), options).await
}

async fn reply(client: &Client, operation: &Operation) -> Reply {
    let Answered { answer, repeated } = client.operate(operation).await.unwrap();
    assert!(!repeated);
    answer.unwrap()
}

async fn next(messages: &mut mpsc::Receiver<Message>) -> Message {
    timeout(PATIENCE, messages.recv()).await.unwrap().unwrap()
}

/// A promise of the execution at the root of its id; with a target if it has a task.
fn promise(id: &str, has_task: bool) -> NewPromise {
    let origin = id.split('.').next().unwrap();
    let mut tags = BTreeMap::from([(tag::ORIGIN, origin), (tag::PARENT, origin), (tag::EXTERNAL, "true")]);
    tags.extend(has_task.then_some([(tag::TARGET, TARGET), (tag::BRANCH, id)]).into_iter().flatten());
    if !has_task {
        tags.insert(tag::BRANCH, origin);
    }
    let tags: BTreeMap<_, _> = tags.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    NewPromise { id: id.to_owned(), timeout_at: NEVER, param: value("{\"x\":\"ü\"}"), tags: tags.into() }
}

fn settlement(id: &str, text: &str) -> Settlement {
    Settlement { id: id.to_owned(), state: PromiseState::Resolved, value: value(text) }
}

fn value(text: &str) -> Value {
    Value { headers: BTreeMap::from([("h".to_owned(), "1".to_owned())]), data: Some(text.to_owned()) }
}
