//! Stands between the tests and a server of the Resonate project. On a server that others use too, it begins each id and each group with a
//! word of this place, and hides what is not of this place; to a server in debug mode it tells the time of the test.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bytes::Bytes;
use everstep::clock::Clock;
use futures::StreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How often the server is told to look at its deadlines.
const TICK: Duration = Duration::from_millis(10);

/// The members that hold an id, and the tags that do.
const IDS: [&str; 3] = ["id", "awaited", "awaiter"];
const TAGS: [&str; 5] =
    ["resonate:origin", "resonate:branch", "resonate:parent", "resonate:prefix", "resonate:schedule"];

/// The lists in the answer to a search.
const LISTS: [&str; 3] = ["promises", "tasks", "schedules"];

/// Forwards requests to a server, and its answers and messages back.
pub(crate) struct Relay {
    server: String,
    /// What its ids and groups begin with on the server.
    word: String,
    clock: Mutex<Option<Arc<dyn Clock>>>,
}

impl Relay {
    /// To a server at `host:port`; an empty word changes nothing.
    pub(crate) fn to(server: String, word: String) -> Arc<Self> {
        Arc::new(Self { server, word, clock: Mutex::default() })
    }

    /// Forwards what comes, until its runtime ends. Returns where it listens.
    pub(crate) async fn start(self: &Arc<Self>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, relay) = (listener.local_addr().unwrap(), Arc::clone(self));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&relay).connection(stream));
            }
        });
        address
    }

    /// Lets the time of a server in debug mode be that of a clock.
    pub(crate) fn set_clock(&self, clock: Arc<dyn Clock>) {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock);
    }

    fn now_ms(&self) -> Option<u64> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|clock| clock.now_ms())
    }

    /// Tells a server in debug mode again and again to look at its deadlines, until the runtime ends.
    pub(crate) async fn tick(self: Arc<Self>) {
        let mut connection = None;
        loop {
            tokio::time::sleep(TICK).await;
            if connection.is_none() {
                connection = self.connect().await;
            }
            let (Some(server), Some(now_ms)) = (&mut connection, self.now_ms()) else { continue };
            let head = json!({ "corrId": "tick", "version": "2026-04-01", "resonate:debug_time": now_ms });
            let body = json!({ "kind": "debug.tick", "head": head, "data": { "time": now_ms } }).to_string();
            let request = Request::post("/").header("host", &self.server).body(Full::from(body)).unwrap();
            let answered = match server.send_request(request).await {
                Ok(answer) => answer.into_body().collect().await.is_ok(),
                Err(_) => false,
            };
            if !answered {
                connection = None;
            }
        }
    }

    async fn connect(&self) -> Option<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.server).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, connection) = client::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(sender)
    }

    /// One connection of a client, which has one to the server. It ends if that one does.
    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let (Ok(()), Some(server)) = (stream.set_nodelay(true), self.connect().await) else { return };
        let server = Arc::new(tokio::sync::Mutex::new(server));
        let service = service_fn(|request| {
            let (relay, server) = (Arc::clone(&self), Arc::clone(&server));
            async move { relay.forward(request, &mut *server.lock().await).await }
        });
        let _ = server::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), service).await;
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        server: &mut SendRequest<Full<Bytes>>,
    ) -> hyper::Result<Response<BoxBody<Bytes, hyper::Error>>> {
        let (mut head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        head.uri = self.path(&head.uri);
        head.headers.remove(CONTENT_LENGTH);
        let asked = self.request(&body);
        let (mut head, body) = server.send_request(Request::from_parts(head, Full::new(asked))).await?.into_parts();
        head.headers.remove(CONTENT_LENGTH);
        if self.now_ms().is_some() {
            head.headers.remove(DATE);
        }
        let is_stream = head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event"));
        if !is_stream {
            let body = self.answer(&body.collect().await?.to_bytes());
            return Ok(Response::from_parts(head, Full::new(body).map_err(|never| match never {}).boxed()));
        }
        let (mut unfinished, word) = (Vec::new(), self.word.clone());
        let messages = BodyStream::new(body).map(move |frame| {
            let Ok(data) = frame?.into_data() else { return Ok(Frame::data(Bytes::new())) };
            unfinished.extend_from_slice(&data);
            let whole = unfinished.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            let lines: Vec<u8> = unfinished.drain(..whole).collect();
            Ok(Frame::data(without(&word, &lines)))
        });
        Ok(Response::from_parts(head, BodyExt::boxed(StreamBody::new(messages))))
    }

    /// A path, with the group of a worker in it as the server knows it.
    fn path(&self, uri: &Uri) -> Uri {
        match uri.path().strip_prefix("/poll/") {
            Some(inbox) => format!("/poll/{}{inbox}", self.word).parse().unwrap(),
            None => uri.clone(),
        }
    }

    /// A request as it is sent. What cannot be read goes as it came.
    fn request(&self, body: &Bytes) -> Bytes {
        let Ok(mut envelope) = serde_json::from_slice::<Value>(body) else { return body.clone() };
        let now_ms = self.now_ms();
        if self.word.is_empty() && now_ms.is_none() || !envelope["head"].is_object() {
            return body.clone();
        }
        if let Some(now_ms) = now_ms {
            envelope["head"]["resonate:debug_time"] = now_ms.into();
        }
        let is_search = envelope["kind"].as_str().is_some_and(|kind| kind.ends_with(".search"));
        let data = &mut envelope["data"];
        self.name(data);
        if is_search && data.is_object() && !self.word.is_empty() {
            // It begins where the ids of this place do.
            let cursor = data["cursor"].as_str().unwrap_or_default();
            data["cursor"] = format!("{}{cursor}", self.word).into();
        }
        envelope.to_string().into()
    }

    /// Begins every id and group in the data of a request with the word.
    fn name(&self, data: &mut Value) {
        match data {
            Value::Array(all) => all.iter_mut().for_each(|one| self.name(one)),
            Value::Object(members) => {
                for (name, member) in members {
                    match (name.as_str(), &*member) {
                        (name, Value::String(id)) if IDS.contains(&name) || TAGS.contains(&name) => {
                            *member = format!("{}{id}", self.word).into();
                        }
                        ("promiseId", Value::String(template)) if !template.starts_with("{{.id}}") => {
                            *member = format!("{}{template}", self.word).into();
                        }
                        ("address" | "resonate:target", Value::String(address)) => {
                            *member = self.address(address).into();
                        }
                        ("param" | "value" | "promiseParam", _) => {}
                        _ => self.name(member),
                    }
                }
            }
            _ => {}
        }
    }

    fn address(&self, address: &str) -> String {
        let poll = address.strip_prefix("poll://").and_then(|worker| worker.split_once('@'));
        poll.map_or_else(|| address.to_owned(), |(cast, group)| format!("poll://{cast}@{}{group}", self.word))
    }

    /// An answer as the client sees it: without the word, and without what others have.
    fn answer(&self, body: &Bytes) -> Bytes {
        if self.word.is_empty() {
            return body.clone();
        }
        let Ok(mut envelope) = serde_json::from_slice::<Value>(body) else { return without(&self.word, body) };
        if envelope["kind"].as_str().is_some_and(|kind| kind.ends_with(".search")) {
            let data = &mut envelope["data"];
            let others = LISTS.iter().any(|list| {
                let Some(found) = data.get_mut(list).and_then(Value::as_array_mut) else { return false };
                let all = found.len();
                found.retain(|one| one["id"].as_str().is_some_and(|id| id.starts_with(&self.word)));
                found.len() < all
            });
            // They are in order: those of others come after the last of ours.
            if let Some(data) = data.as_object_mut().filter(|_| others) {
                data.remove("cursor");
            }
        }
        without(&self.word, envelope.to_string().as_bytes())
    }
}

/// A text without a word in it.
fn without(word: &str, text: &[u8]) -> Bytes {
    match std::str::from_utf8(text) {
        Ok(text) if !word.is_empty() => text.replace(word, "").into(),
        _ => Bytes::copy_from_slice(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relayed(relay: &Relay, envelope: &Value) -> Value {
        serde_json::from_slice(&relay.request(&envelope.to_string().into())).unwrap()
    }

    #[test]
    fn ids_and_groups_have_the_word_on_the_server_and_not_here() {
        let relay = Relay::to(String::new(), "t1-".to_owned());
        let action = |id: &str, group: &str| {
            let tags = json!({ "resonate:origin": id, "resonate:target": format!("poll://any@{group}"), "other": "x" });
            let create = json!({ "id": id, "tags": tags, "param": { "data": "eA==", "headers": { "id": "x" } } });
            json!({ "kind": "promise.create", "head": {}, "data": create })
        };
        let fence = |id: &str, group: &str| json!({ "kind": "task.fence", "head": { "corrId": "1" }, "data": { "id": id, "version": 1, "action": action(id, group) } });
        assert_eq!(relayed(&relay, &fence("x", "default")), fence("t1-x", "t1-default"));
        let sent = fence("t1-x", "t1-default").to_string();
        assert_eq!(serde_json::from_slice::<Value>(&relay.answer(&sent.into())).unwrap(), fence("x", "default"));
        for (path, sent) in [("/", "/"), ("/poll/default/a", "/poll/t1-default/a")] {
            assert_eq!(relay.path(&path.parse().unwrap()).path(), sent);
        }
        let schedule = |id: &str, template: &str| json!({ "kind": "schedule.create", "head": {}, "data": { "id": id, "promiseId": template } });
        for (ours, theirs) in [("{{.id}}-{{.timestamp}}", "{{.id}}-{{.timestamp}}"), ("x", "t1-x")] {
            assert_eq!(relayed(&relay, &schedule("s", ours)), schedule("t1-s", theirs));
        }
    }

    #[test]
    fn a_search_finds_what_is_of_this_place() {
        let relay = Relay::to(String::new(), "t1-".to_owned());
        let search = |data: Value| json!({ "kind": "promise.search", "head": {}, "data": data });
        assert_eq!(relayed(&relay, &search(json!({}))), search(json!({ "cursor": "t1-" })));
        assert_eq!(relayed(&relay, &search(json!({ "cursor": "x" }))), search(json!({ "cursor": "t1-x" })));
        let found = |ids: &[&str], cursor: Option<&str>| {
            let promises: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
            let mut data = json!({ "promises": promises });
            if let Some(cursor) = cursor {
                data["cursor"] = cursor.into();
            }
            search(data)
        };
        for (theirs, ours) in [
            (found(&["t1-a", "t1-b"], Some("t1-b")), found(&["a", "b"], Some("b"))),
            (found(&["t1-a", "t2-b"], Some("t2-b")), found(&["a"], None)),
        ] {
            let answer = relay.answer(&theirs.to_string().into());
            assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap(), ours);
        }
    }

    #[test]
    fn without_a_word_only_the_time_is_told() {
        let relay = Relay::to(String::new(), String::new());
        let hello = json!({ "kind": "promise.get", "head": { "corrId": "1" }, "data": { "id": "x" } });
        assert_eq!(relayed(&relay, &hello), hello);
        relay.set_clock(Arc::new(everstep::clock::TestClock::at(7)));
        let mut timed = hello.clone();
        timed["head"]["resonate:debug_time"] = 7.into();
        assert_eq!(relayed(&relay, &hello), timed);
        assert_eq!(relay.answer(&timed.to_string().into()), timed.to_string());
    }
}
