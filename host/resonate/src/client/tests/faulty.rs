//! Against servers that fail, lie, or are something else.

use super::{PATIENCE, PID, Served, TOKEN, TTL, connect, next, options, promise, settlement};
use crate::Manner;
use crate::client::{Client, Error, Http, Message, Options, Transport, Unreachable};
use async_trait::async_trait;
use bytes::Bytes;
use everstep_store::operation::{Dialect, FenceAction, NewSchedule, Operation, Page, Reply, Status};
use everstep_store::record::Value;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

type Sent = Result<(u16, Bytes), Unreachable>;

/// A transport whose answers a test makes up, from the number of the request and the request.
struct Mock<F> {
    answer: F,
    requests: AtomicUsize,
    messages: Vec<Bytes>,
}

#[async_trait]
impl<F: Fn(usize, &Json) -> Sent + Send + Sync + 'static> Transport for Mock<F> {
    fn server(&self) -> &str {
        "mock://server"
    }

    async fn send(&self, request: Bytes) -> Sent {
        let request: Json = serde_json::from_slice(&request).unwrap();
        (self.answer)(self.requests.fetch_add(1, Ordering::Relaxed), &request)
    }

    async fn receive(&self, _: &str, _: &str) -> Result<BoxStream<'static, Result<Bytes, Unreachable>>, Unreachable> {
        let messages = self.messages.clone().into_iter().map(Ok);
        Ok(stream::iter(messages).chain(stream::pending()).boxed())
    }
}

/// Connects to a mock whose first request is answered as it should be.
async fn mocked(
    messages: Vec<Bytes>,
    patience: Duration,
    answer: impl Fn(usize, &Json) -> Sent + Send + Sync + 'static,
) -> Client {
    let answer = move |number: usize, request: &Json| match number {
        0 => Ok(echo(request, 200, &json!({ "schedules": [] }))),
        number => answer(number - 1, request),
    };
    let mock = Mock { answer, requests: AtomicUsize::new(0), messages };
    let options = Options { token: Some(TOKEN.to_owned()), dialect: Some(Dialect::C), patience };
    Client::connect(Arc::new(mock), options).await.unwrap()
}

fn echo(request: &Json, status: u16, data: &Json) -> (u16, Bytes) {
    let head = json!({ "corrId": request["head"]["corrId"], "status": status, "version": "2026-04-01" });
    (status, json!({ "kind": request["kind"], "head": head, "data": data }).to_string().into())
}

fn get() -> Operation {
    Operation::PromiseGet { id: "a.1".to_owned() }
}

fn found() -> Json {
    json!({ "promise": { "id": "a:1", "state": "pending", "timeoutAt": 1, "createdAt": 1 } })
}

#[tokio::test]
async fn a_request_is_repeated_while_its_failure_may_pass() {
    let lost = || Err(Unreachable::Lost("cut".to_owned()));
    let unsent = || Err(Unreachable::Unsent("refused".to_owned()));
    let status = |status| Ok((status, Bytes::from_static(b"<html>")));
    for (failures, repeated) in [
        (vec![], false),
        (vec![unsent(), unsent()], false),
        (vec![unsent(), lost(), unsent()], true),
        (vec![status(503), status(500)], true),
        (vec![status(429)], false),
    ] {
        let client = mocked(Vec::new(), PATIENCE, move |number, request| {
            failures.get(number).cloned().unwrap_or_else(|| Ok(echo(request, 200, &found())))
        });
        let answered = client.await.operate(&get()).await.unwrap();
        assert!(matches!(&answered.answer, Ok(Reply::Promise(found)) if found.id == "a.1"));
        assert_eq!(answered.repeated, repeated);
    }
}

#[tokio::test]
async fn patience_has_an_end() {
    for patience in [0, 300].map(Duration::from_millis) {
        let client = mocked(Vec::new(), patience, |_, request| Ok(echo(request, 503, &json!("it is full"))));
        let error = client.await.operate(&get()).await.unwrap_err();
        assert!(matches!(&error, Error::Unavailable { status: 503, why, .. } if why == "it is full"), "{error}");
    }
}

#[tokio::test]
async fn what_cannot_be_an_answer_is_an_error() {
    type Change = fn(&Json) -> (u16, Bytes);
    let cases: [(Change, &str); 10] = [
        (|_| (200, Bytes::from_static(b"<html>")), "but not as a Resonate server (status 200, and no envelope"),
        (|_| (405, Bytes::from_static(b"<html>")), "but not as a Resonate server (status 405)"),
        (|_| (301, Bytes::new()), "but not as a Resonate server (status 301)"),
        (|_| (410, Bytes::from_static(b"{\"error\":\"gone\"}")), "answers with status 410, as an old server"),
        (|_| (413, Bytes::new()), "a server takes at most 2097152"),
        (
            |request| echo(&json!({ "kind": "x", "head": request["head"] }), 200, &found()),
            "kind is \"x\", not \"promise.get\"",
        ),
        (
            |request| echo(&json!({ "kind": request["kind"], "head": { "corrId": "x" } }), 200, &found()),
            "corrId is \"x\"",
        ),
        (|request| (404, echo(request, 200, &found()).1), "status is \"200\", not \"404\""),
        (|request| echo(request, 300, &json!({ "preload": [] })), "it has the status 300"),
        (|request| echo(request, 200, &json!({ "promise": { "id": 7 } })), "cannot be read"),
    ];
    for (change, expected) in cases {
        let client = mocked(Vec::new(), PATIENCE, move |_, request| Ok(change(request))).await;
        let error = client.operate(&get()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn no_text_of_the_server_brings_the_token_back() {
    for status in [400, 401, 403, 404, 503] {
        let client = mocked(Vec::new(), Duration::ZERO, move |_, request| {
            Ok(echo(request, status, &json!(format!("not with {TOKEN}\u{1b}[2J{}", "x".repeat(9000)))))
        });
        let answered = client.await.operate(&get()).await;
        let said = format!("{answered:?}");
        assert!(said.contains("not with [token]") && !said.contains(TOKEN) && said.len() < 1000, "{said}");
        assert!(
            !answered.map_or_else(|error| error.to_string(), |it| it.answer.unwrap_err().reason).contains('\u{1b}')
        );
    }
}

#[tokio::test]
async fn a_server_of_another_version_is_named() {
    let answer = |_, request: &Json| {
        let head = json!({ "corrId": request["head"]["corrId"], "status": 400, "version": "2027-01-01" });
        let body = json!({ "kind": request["kind"], "head": head, "data": "unsupported version" });
        Ok((400, Bytes::from(body.to_string())))
    };
    let mock = Mock { answer, requests: AtomicUsize::new(0), messages: Vec::new() };
    let error = Client::connect(Arc::new(mock), options()).await.unwrap_err();
    assert!(matches!(&error, Error::Version { found, .. } if found == "2027-01-01"), "{error}");
}

#[tokio::test]
async fn a_dialect_that_the_probe_does_not_find_has_to_be_given() {
    let answer = |number, request: &Json| match number {
        0 => Ok(echo(request, 200, &json!({ "schedules": [] }))),
        1 | 2 => Ok(echo(request, 400, &json!("no ids at all"))),
        _ => Ok(echo(request, 403, &json!("not for this id"))),
    };
    let mock = Mock { answer, requests: AtomicUsize::new(0), messages: Vec::new() };
    let error = Client::connect(Arc::new(mock), options()).await.unwrap_err();
    assert!(matches!(&error, Error::Dialect { why, .. } if why == "no ids at all; no ids at all"), "{error}");
}

#[tokio::test]
async fn nothing_at_an_address_and_a_plain_web_server_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let page = "<html>it works</html>";
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        message(&mut stream).await;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}", page.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let once = || Options { patience: Duration::ZERO, ..options() };
    let error = connect(&url, once()).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{url} answers, but not as a Resonate server (status 200, and no envelope of the protocol)")
    );
    server.await.unwrap();
    let error = connect(&url, once()).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("nothing answers at {url}: ")) && error.contains("refused"), "{error}");
}

/// The bytes of one message with a body, or of what there is before the end.
async fn message(stream: &mut TcpStream) -> Vec<u8> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split_once("content-length: ").map_or("0", |(_, rest)| rest.lines().next().unwrap());
            if body.len() >= length.parse::<usize>().unwrap() {
                return bytes;
            }
        }
        match stream.read(&mut part).await.unwrap() {
            0 => return bytes,
            length => bytes.extend_from_slice(&part[..length]),
        }
    }
}

/// A proxy that loses the answers to the requests of these numbers.
async fn losing(served: &Served, numbers: &'static [usize]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, to) = (format!("http://{}", listener.local_addr().unwrap()), served.address);
    let requests = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let requests = Arc::clone(&requests);
            tokio::spawn(async move {
                loop {
                    let request = message(&mut client).await;
                    if request.is_empty() {
                        return;
                    }
                    let mut server = TcpStream::connect(to).await.unwrap();
                    server.write_all(&request).await.unwrap();
                    let answer = message(&mut server).await;
                    if numbers.contains(&requests.fetch_add(1, Ordering::Relaxed)) {
                        return;
                    }
                    client.write_all(&answer).await.unwrap();
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn a_lost_answer_shows_as_repeated() {
    let served = Served::start(Manner::B).await;
    // The first three connect, and find the dialect.
    let url = losing(&served, &[3, 5]).await;
    let client = connect(&url, options()).await.unwrap();
    let create = Operation::TaskCreate { pid: PID.to_owned(), ttl: TTL, promise: promise("a", true) };
    let answered = client.operate(&create).await.unwrap();
    assert_eq!((answered.answer.unwrap_err().status, answered.repeated), (Status::Conflict, true));
    let answered = client.operate(&Operation::TaskGet { id: "a".to_owned() }).await.unwrap();
    let Ok(Reply::Task(task)) = answered.answer else { panic!() };
    assert_eq!((task.version, task.lease.unwrap().pid, answered.repeated), (1, PID.to_owned(), true));
    assert!(!client.operate(&Operation::TaskGet { id: "a".to_owned() }).await.unwrap().repeated);
}

#[tokio::test]
async fn a_stream_comes_in_any_parts_and_ends_with_its_receiver() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/below", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let hello = message(&mut stream).await;
        let body = std::str::from_utf8(&hello).unwrap().split_once("\r\n\r\n").unwrap().1.to_owned();
        let (_, body) = echo(&serde_json::from_str(&body).unwrap(), 200, &json!({ "schedules": [] }));
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &*body].concat()).await.unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = String::from_utf8(message(&mut stream).await).unwrap().to_lowercase();
        assert!(request.starts_with("get /below/poll/workers/w%2f1 "), "{request}");
        assert!(request.contains(&format!("authorization: bearer {TOKEN}")));
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let events = ": hello\r\n\r\ndata: {\"kind\":\"sing\",\"data\":{}}\r\n\r\ndata: {\"kind\":\"execute\",\r\ndata: \"data\":{\"task\":{\"id\":\"a:1\",\"version\":7}}}\r\n\r\n";
        for part in events.as_bytes().chunks(3) {
            let chunk = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
            stream.write_all(&chunk).await.unwrap();
        }
        assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    });
    let given = Options { token: Some(TOKEN.to_owned()), dialect: Some(Dialect::C), ..options() };
    let client = connect(&url, given).await.unwrap();
    let mut messages = client.messages("workers".to_owned(), "w/1".to_owned());
    assert_eq!(next(&mut messages).await, Message::Connected);
    assert_eq!(next(&mut messages).await, Message::Execute { id: "a.1".to_owned(), version: 7 });
    drop(messages);
    timeout(PATIENCE, server).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_is_not_read_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        message(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let part = vec![b' '; 1 << 20];
        while stream.write_all(&part).await.is_ok() {}
    });
    let http = Http::new(&url, None).unwrap();
    let sent = timeout(PATIENCE, http.send(Bytes::from_static(b"{}"))).await.unwrap();
    assert_eq!(sent, Err(Unreachable::TooLong { limit: 64 << 20 }));
    timeout(PATIENCE, server).await.unwrap().unwrap();
}

/// One operation of each request, with the kind of reply that each has.
fn operations() -> Vec<Operation> {
    let (id, page) = ("a.1".to_owned(), Page::default());
    let settlement = settlement("a.1", "1");
    let schedule = NewSchedule {
        id: id.clone(),
        cron: "* * * * *".to_owned(),
        promise_id: id.clone(),
        promise_timeout: 1,
        promise_param: Value::default(),
        promise_tags: BTreeMap::new(),
    };
    vec![
        get(),
        Operation::PromiseSearch { state: None, tags: BTreeMap::new(), page: page.clone() },
        Operation::TaskAcquire { id: id.clone(), version: 1, pid: PID.to_owned(), ttl: TTL },
        Operation::TaskFence { id: "a".to_owned(), version: 1, action: FenceAction::Settle(settlement) },
        Operation::TaskSuspend { id: "a".to_owned(), version: 1, awaited: vec![id.clone()] },
        Operation::TaskRelease { id: id.clone(), version: 1 },
        Operation::TaskGet { id },
        Operation::TaskSearch { state: None, page: page.clone() },
        Operation::ScheduleCreate(schedule),
        Operation::ScheduleSearch { tags: BTreeMap::new(), page },
    ]
}

/// Any JSON whose fields have the names that mean something.
fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "(pending|acquired|promise.settle|a:1|:|\\.|\\PC{0,4})".prop_map(Json::from),
        (0_u16..700).prop_map(Json::from),
    ];
    let name = prop::sample::select(vec![
        "promise",
        "promises",
        "task",
        "tasks",
        "schedule",
        "schedules",
        "cursor",
        "preload",
        "action",
        "kind",
        "head",
        "data",
        "status",
        "id",
        "state",
        "version",
        "resumes",
        "ttl",
        "pid",
        "param",
        "value",
        "tags",
        "headers",
        "timeoutAt",
        "createdAt",
        "settledAt",
        "resonate:origin",
    ]);
    leaf.prop_recursive(4, 32, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_answer_is_more_than_an_error(
        status in prop::sample::select(vec![200_u16, 204, 300, 400, 404, 409, 422, 500, 999]),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        data in any_json(),
        is_envelope in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let message = json!({ "kind": "unblock", "data": data.clone() }).to_string();
            let messages = vec![Bytes::from(bytes.clone()), message.into()];
            let client = mocked(messages, Duration::ZERO, move |_, request| Ok(match is_envelope {
                true => echo(request, status, &data),
                false => (status, bytes.clone().into()),
            })).await;
            for operation in operations() {
                let _ = client.operate(&operation).await;
            }
            let mut messages = client.messages("g".to_owned(), "w".to_owned());
            assert_eq!(messages.recv().await, Some(Message::Connected));
            let _ = timeout(Duration::from_millis(1), messages.recv()).await;
        });
    }
}
