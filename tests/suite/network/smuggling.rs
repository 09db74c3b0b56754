//! Messages in which two parties can see two different ones: refused, and their connection is not used again.

use super::servers::{Authority, Server, Step, ok, raw, redirect};
use super::{AnyHop, allow, bounds, cause, client, get, request, websocket};
use everstep::ErrorCode;
use everstep::capability::http::{Response, check_headers};
use everstep::network::{Cause, Failure, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What may lie in buffers of the system when a client gives up, and a little more.
const BUFFERED: u64 = 16 << 20;

async fn answer(bytes: &str) -> Result<Response, Failure> {
    let bytes = bytes.to_owned();
    let server = Server::start(move |_| raw(bytes.clone())).await;
    get(&client(), &server.url("/")).await
}

fn refused(outcome: Result<Response, Failure>, lie: &str) {
    let failure = outcome.expect_err(lie);
    assert!(matches!(failure.cause, Cause::BadResponse(_)), "{lie:?}: {failure:?}");
    assert_eq!(failure.into_guest("fetch").code, ErrorCode::Failed, "{lie:?}");
}

/// Headers that leave open where a message ends.
const AMBIGUOUS: [&str; 15] = [
    "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
    "Content-Length: 0\r\nTransfer-Encoding: identity\r\n",
    "Content-Length: 3\r\nContent-Length: 3\r\n",
    "Content-Length: 3, 3\r\n",
    "Content-Length: +3\r\n",
    "Content-Length: 3\r\nContent_Length: 4\r\n",
    "Content-Length: 3\r\nTransfer_Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nCONTENT.LENGTH: 3\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding:\r\n",
];

#[tokio::test]
async fn a_response_that_leaves_open_where_it_ends_is_refused() {
    for headers in AMBIGUOUS {
        for status in ["200 OK", "404 Not Found"] {
            let lie = format!("HTTP/1.1 {status}\r\n{headers}\r\n3\r\nabc\r\n0\r\n\r\n");
            refused(answer(&lie).await, &lie);
        }
    }
    let lie = "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    refused(answer(lie).await, lie);
}

#[tokio::test]
async fn a_redirect_and_a_response_to_head_are_held_to_the_same_framing() {
    for headers in AMBIGUOUS {
        let away = format!("HTTP/1.1 302 Found\r\nlocation: /b\r\n{headers}\r\n3\r\nabc\r\n0\r\n\r\n");
        let server = Server::start(move |asked| match asked.line() {
            "GET /" => raw(away.clone()),
            _ => ok("followed"),
        })
        .await;
        refused(get(&client(), &server.url("/")).await, headers);
        assert_eq!(server.requests().len(), 1, "{headers:?} was followed");
        let lie = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
        let server = Server::start(move |_| raw(lie.clone())).await;
        refused(client().send(request("HEAD", &server.url("/")), &bounds(), &mut AnyHop).await, headers);
    }
}

#[tokio::test]
async fn what_follows_a_refused_response_answers_no_later_request() {
    let lie = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
               HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let server = Server::start(move |asked| if asked.line() == "GET /lie" { raw(lie) } else { ok("fine") }).await;
    let client = client();
    refused(get(&client, &server.url("/lie")).await, lie);
    assert_eq!(get(&client, &server.url("/")).await.unwrap().body, b"fine");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn responses_that_say_once_where_they_end_are_read() {
    for (headers, body) in [
        ("Content-Length: 3\r\n", "abc"),
        ("Transfer-Encoding: Chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        ("content-length:   3  \r\nx_content_length: 7\r\n", "abc"),
    ] {
        let got = answer(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}")).await.unwrap();
        assert_eq!(got.body, b"abc", "{headers:?}");
    }
}

#[tokio::test]
async fn a_flood_of_informational_answers_is_an_error_long_before_the_deadline() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
        "HTTP/1.1 102 Processing\r\n\r\n".to_owned(),
        "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".to_owned(),
        format!("HTTP/1.1 199 X\r\nx: {}\r\n\r\n", "y".repeat(10_000)),
    ] {
        let endless = interim.clone();
        let server = Server::start(move |_| vec![Step::Repeat(endless.clone().into_bytes())]).await;
        let failure = get(&client(), &server.url("/")).await.unwrap_err();
        assert!(matches!(&failure.cause, Cause::BadResponse(why) if why.contains("informational")), "{failure:?}");
        assert!(server.taken() < BUFFERED, "{} bytes were taken", server.taken());
        // Behind a redirect alike; and a response after so many is none.
        let flood = format!("{}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate", interim.repeat(40));
        let server = Server::start(move |asked| match asked.line() {
            "GET /" => redirect(302, "/flood"),
            _ => raw(flood.clone()),
        })
        .await;
        refused(get(&client(), &server.url("/")).await, &interim[..20]);
    }
}

#[tokio::test]
async fn a_few_informational_answers_come_before_a_response() {
    let hint = "HTTP/1.1 103 Hints\r\nlink: </x>\r\n\r\n";
    let got = answer(&format!("{}HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na", hint.repeat(16))).await;
    assert_eq!(got.unwrap().body, b"a");
}

/// Answers whatever it gets over HTTP/2 with frames, for ever.
async fn speaking_http2(authority: &Authority, frames: Vec<u8>) -> Server {
    let acceptor = authority.acceptor(&[b"h2"]);
    Server::with(move |stream| {
        let (acceptor, frames) = (acceptor.clone(), frames.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            // Settings; then the request is waited for, which is the first stream.
            let _ = stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
            let mut preface = [0; 24];
            let _ = stream.read_exact(&mut preface).await;
            let mut head = [0; 9];
            while head[3] != 1 && stream.read_exact(&mut head).await.is_ok() {
                let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
                let _ = stream.read_exact(&mut payload).await;
            }
            while stream.write_all(&frames).await.is_ok() {}
        }
    })
    .await
}

#[tokio::test]
async fn a_flood_of_informational_answers_over_http2_is_an_error_as_well() {
    // Headers of stream 1: the status 103.
    let interim = [[0, 0, 5, 1, 4, 0, 0, 0, 1].as_slice(), b"\x08\x03103"].concat();
    let authority = Authority::new();
    let server = speaking_http2(&authority, interim).await;
    let options = Options::system().with_authorities(&[authority.file()]).unwrap();
    let client = everstep::capability::http::Client::new(&options, allow(&["127.0.0.1"]));
    let failure = get(&client, &format!("https://127.0.0.1:{}/", server.port())).await.unwrap_err();
    assert!(matches!(failure.cause, Cause::Interrupted(_) | Cause::BadResponse(_)), "{failure:?}");
}

#[tokio::test]
async fn names_that_a_server_may_take_for_forbidden_ones_are_neither_granted_nor_sent() {
    let server = Server::start(|_| ok("")).await;
    for name in [
        "Content_Length",
        "TRANSFER_ENCODING",
        "transfer.encoding",
        "x_http_method_override",
        "sec_websocket_key",
        "Proxy_Authorization",
    ] {
        let header = (name.to_owned(), "1".to_owned());
        assert_eq!(check_headers(std::slice::from_ref(&header)).unwrap_err().code, ErrorCode::Invalid, "{name}");
        let mut asked = request("POST", &server.url("/"));
        asked.headers = vec![header.clone()];
        assert!(matches!(cause(client().send(asked, &bounds(), &mut AnyHop).await), Cause::Invalid(_)), "{name}");
        let mut opening = websocket::opening(&format!("ws://{}/", server.address));
        opening.headers = vec![header];
        assert!(matches!(websocket::refused(&opening).await.cause, Cause::Invalid(_)), "{name}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn the_host_s_own_header_replaces_every_spelling_of_the_guest_s() {
    let other = Server::start(|_| ok("")).await;
    let away = other.url("/");
    let server =
        Server::start(move |asked| if asked.line() == "GET /away" { redirect(302, &away) } else { ok("") }).await;
    for path in ["/", "/away"] {
        let mut asked = request("GET", &server.url(path));
        asked.headers = vec![
            ("x_api_key".into(), "mine".into()),
            ("X-Api-Key".into(), "mine".into()),
            ("x.api_key".into(), "mine".into()),
        ];
        asked.secret = Some(("x-api-key".into(), "the secret".into()));
        client().send(asked, &bounds(), &mut AnyHop).await.unwrap();
    }
    for seen in server.requests() {
        assert_eq!(
            (seen.header("x-api-key"), seen.head.contains("mine")),
            (vec!["the secret"], false),
            "{}",
            seen.head
        );
    }
    assert!(other.requests().iter().all(|seen| !seen.head.contains("mine") && !seen.head.contains("secret")));
    let mut asked = request("GET", &server.url("/away"));
    asked.headers = vec![("proxy.authorization".into(), "mine".into())];
    assert!(matches!(cause(client().send(asked, &bounds(), &mut AnyHop).await), Cause::Invalid(_)));
}

#[tokio::test]
async fn an_upgrade_that_is_framed_or_says_things_twice_opens_nothing() {
    for headers in [
        "Content-Length: 0\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\n",
        "content_length: 3\r\n",
        "Upgrade: websocket\r\n",
        "Connection: close\r\n",
        "Sec-WebSocket-Accept: x\r\n",
        "Sec_WebSocket_Accept: x\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    ] {
        let server = Server::with(move |mut stream| async move {
            websocket::shake_hands(&mut stream, headers).await;
            std::future::pending::<()>().await;
        })
        .await;
        let failure = websocket::refused(&websocket::opening(&format!("ws://{}/", server.address))).await;
        assert!(matches!(failure.cause, Cause::BadResponse(_)), "{headers:?}: {failure:?}");
    }
    for before in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"] {
        let server = Server::start(move |_| vec![Step::Repeat(before.as_bytes().to_vec())]).await;
        let failure = websocket::refused(&websocket::opening(&format!("ws://{}/", server.address))).await;
        assert!(matches!(failure.cause, Cause::BadResponse(_)), "{before:?}: {failure:?}");
        assert!(server.taken() < BUFFERED, "{} bytes were taken", server.taken());
    }
}
