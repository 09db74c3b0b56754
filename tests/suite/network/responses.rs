//! What servers send: whatever it is, a response is whole and within its bounds, or an error.

use super::servers::{Server, Step, ok, raw, response};
use super::{AnyHop, bounds, cause, client, get, request};
use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use everstep::ErrorCode;
use everstep::capability::http::{Bounds, Response};
use everstep::network::{Cause, Failure};
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// What a deadline test waits for.
const SHORT: Duration = Duration::from_secs(1);

/// What may lie in buffers of the system when a client gives up, and a little more.
const BUFFERED: u64 = 16 << 20;

async fn answer(steps: impl Fn() -> Vec<Step> + Send + Sync + 'static) -> Result<Response, Failure> {
    let server = Server::start(move |_| steps()).await;
    get(&client(), &server.url("/")).await
}

async fn bytes(response: impl Into<Vec<u8>>) -> Result<Response, Failure> {
    let response = response.into();
    answer(move || vec![Step::Send(response.clone()), Step::Close]).await
}

#[tokio::test]
async fn a_response_is_what_was_sent() {
    let got = bytes(
        "HTTP/1.1 200 OK\r\nX-Name:  v\u{a0}lue \r\nset-cookie: a\r\nSet-Cookie: b\r\ncontent-length: 3\r\n\r\na\0b",
    );
    let got = got.await.unwrap();
    assert_eq!((got.status, got.body.as_slice(), got.hops, got.received), (200, b"a\0b".as_slice(), 0, 3));
    let header = |name: &str| -> Vec<&str> {
        got.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    };
    // Each byte is one character.
    assert_eq!(header("x-name"), ["v\u{c2}\u{a0}lue"]);
    assert_eq!(header("set-cookie"), ["a", "b"]);
}

#[tokio::test]
async fn headers_about_the_connection_are_not_part_of_a_response() {
    let got =
        bytes("HTTP/1.1 200 OK\r\nconnection: close\r\nkeep-alive: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(got.await.unwrap().headers, []);
}

#[tokio::test]
async fn a_request_is_what_was_asked_for() {
    let server = Server::start(|_| ok("")).await;
    let mut asked = request("POST", &server.url("/a%20b/../c?d=%26&e#f"));
    asked.headers = vec![("X-A".into(), "1".into()), ("x-a".into(), "2".into()), ("accept".into(), "text/html".into())];
    asked.body = b"body".to_vec().into();
    client().send(asked, &bounds(), &mut AnyHop).await.unwrap();
    let received = &server.requests()[0];
    assert_eq!((received.line(), received.body.as_slice()), ("POST /c?d=%26&e", b"body".as_slice()));
    assert_eq!(received.header("x-a"), ["1", "2"]);
    assert_eq!(received.header("host"), [server.address.to_string()]);
    assert_eq!(received.header("content-length"), ["4"]);
    assert_eq!(received.header("accept"), ["text/html"]);
    assert_eq!(received.header("accept-encoding"), ["gzip, br, zstd, deflate"]);
    assert_eq!(received.header("user-agent").len(), 1);
}

#[tokio::test]
async fn a_method_that_needs_a_body_says_that_it_has_none() {
    let server = Server::start(|_| ok("")).await;
    for method in ["POST", "PUT", "PATCH", "GET", "DELETE"] {
        client().send(request(method, &server.url("/")), &bounds(), &mut AnyHop).await.unwrap();
    }
    let lengths: Vec<_> = server.requests().iter().map(|request| request.header("content-length").join(",")).collect();
    assert_eq!(lengths, ["0", "0", "0", "", ""]);
}

#[tokio::test]
async fn forbidden_headers_and_line_breaks_are_not_sent_even_unchecked() {
    let server = Server::start(|_| ok("")).await;
    for (name, value) in [
        ("host", "evil"),
        ("Content-Length", "1"),
        ("transfer-encoding", "chunked"),
        ("connection", "upgrade"),
        ("proxy-authorization", "x"),
        ("expect", "100-continue"),
        ("x-http-method-override", "DELETE"),
        ("x-a", "1\r\nx-b: 2"),
        ("x-a\r\nx-b", "1"),
        ("x-a", "1\0"),
        (":method", "DELETE"),
    ] {
        let mut asked = request("GET", &server.url("/"));
        asked.headers = vec![(name.into(), value.into())];
        let failure = client().send(asked.clone(), &bounds(), &mut AnyHop).await.unwrap_err();
        assert!(matches!(failure.cause, Cause::Invalid(_)) && failure.is_before_sending(), "{name}: {failure:?}");
        asked.headers.clear();
        asked.secret = Some((name.into(), value.into()));
        let failure = client().send(asked, &bounds(), &mut AnyHop).await.unwrap_err();
        assert!(!failure.into_guest("").message.contains(value), "{name}");
    }
    for method in ["GET / HTTP/1.1\r\nx: y\r\n\r\nGET", "GE T", ""] {
        let failure = client().send(request(method, &server.url("/")), &bounds(), &mut AnyHop).await.unwrap_err();
        assert!(matches!(failure.cause, Cause::Invalid(_)), "{method}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_body_that_is_exactly_as_long_as_allowed_is_whole_and_one_byte_more_is_an_error() {
    let server = Server::start(|_| ok("12345678")).await;
    let allowed = |max_response| Bounds { max_response, ..bounds() };
    let response = client().send(request("GET", &server.url("/")), &allowed(8), &mut AnyHop).await.unwrap();
    assert_eq!(response.body, b"12345678");
    let failure = client().send(request("GET", &server.url("/")), &allowed(7), &mut AnyHop).await.unwrap_err();
    assert_eq!(failure.cause, Cause::TooLarge { max: 7 });
    assert_eq!(failure.into_guest("fetch").code, ErrorCode::LimitExceeded);
}

#[tokio::test]
async fn a_body_without_end_is_cut_off_at_the_bound() {
    for head in ["", "transfer-encoding: chunked\r\n", "content-length: 1000000000000\r\n"] {
        let server = Server::start(move |_| {
            vec![
                Step::Send(format!("HTTP/1.1 200 OK\r\n{head}\r\n").into_bytes()),
                Step::Repeat([b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat()),
            ]
        })
        .await;
        assert_eq!(cause(get(&client(), &server.url("/")).await), Cause::TooLarge { max: 1 << 20 }, "{head}");
        assert!(server.taken() < BUFFERED, "{} bytes were taken", server.taken());
    }
}

/// What takes too long, in steps of a server.
fn slow() -> Vec<(&'static str, Vec<Step>)> {
    let head = |headers: &str| Step::Send(format!("HTTP/1.1 200 OK\r\n{headers}").into_bytes());
    vec![
        ("no response", vec![Step::Stall]),
        ("no end of the headers", vec![head("x-a: b\r\n"), Step::Stall]),
        ("no body", vec![head("content-length: 1\r\n\r\n"), Step::Stall]),
        ("half a body", vec![head("content-length: 2\r\n\r\n"), Step::Send(b"a".to_vec()), Step::Stall]),
        ("no end of the body", vec![head("\r\n"), Step::Send(b"a".to_vec()), Step::Stall]),
        ("no last chunk", vec![head("transfer-encoding: chunked\r\n\r\n1\r\na\r\n"), Step::Stall]),
        (
            "nothing after a hint",
            vec![Step::Send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".to_vec()), Step::Stall],
        ),
        (
            "no end of the encoded body",
            vec![head("content-encoding: gzip\r\n\r\n"), Step::Send(b"\x1f\x8b".to_vec()), Step::Stall],
        ),
    ]
}

#[tokio::test]
async fn whatever_takes_too_long_ends_at_the_deadline() {
    let each = (0..slow().len()).map(|index| async move {
        let (what, _) = slow().swap_remove(index);
        let server = Server::start(move |_| slow().swap_remove(index).1).await;
        let bounds = Bounds { timeout: SHORT, ..bounds() };
        let failure = client().send(request("GET", &server.url("/")), &bounds, &mut AnyHop).await.unwrap_err();
        assert_eq!(failure.cause, Cause::TimedOut, "{what}");
        assert_eq!((failure.address, failure.sent), (Some(server.address), true), "{what}");
    });
    futures::future::join_all(each).await;
}

#[tokio::test]
async fn the_deadline_is_one_for_all_hops_together() {
    let server = Server::start(|_| super::servers::redirect(302, "/")).await;
    let bounds = Bounds { timeout: SHORT, redirects: u32::MAX, ..bounds() };
    let outcome = client().send(request("GET", &server.url("/")), &bounds, &mut AnyHop).await;
    assert_eq!(cause(outcome), Cause::TimedOut);
    assert!(server.requests().len() > 1);
}

#[tokio::test]
async fn a_body_that_ends_too_early_is_never_a_response() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for lie in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n123".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n123".to_owned(),
        format!("{chunked}3\r\nabc\r\n"),
        format!("{chunked}5\r\nabc"),
        format!("{chunked}3\r\nabc\r\n0\r\n"),
        chunked.to_owned(),
        "HTTP/1.1 200 OK\r\nx-a: b\r\n".to_owned(),
        "HTTP/1.1 200".to_owned(),
        String::new(),
    ] {
        let failure = bytes(lie.clone()).await.unwrap_err();
        assert!(matches!(failure.cause, Cause::Interrupted(_)), "{lie:?}: {failure:?}");
        assert!(!failure.is_before_sending() && failure.is_transient(), "{lie:?}: {failure:?}");
    }
}

#[tokio::test]
async fn a_response_that_breaks_the_protocol_is_an_error() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for lie in [
        format!("{chunked}x\r\nabc\r\n0\r\n\r\n"),
        format!("{chunked}3\r\nabcdef\r\n0\r\n\r\n"),
        format!("{chunked}-1\r\nabc\r\n0\r\n\r\n"),
        format!("{chunked}ffffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        format!("{chunked}3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(100_000)),
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nabc".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 3, 4\r\n\r\nabcd".to_owned(),
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nx-a: \0\r\n\r\n".to_owned(),
        "HTTP/1.1 99999 OK\r\n\r\n".to_owned(),
        "HTTP/9.9 200 OK\r\n\r\n".to_owned(),
        "SSH-2.0-OpenSSH\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n".to_owned(),
    ] {
        let failure = bytes(lie.clone()).await.unwrap_err();
        let shown: String = lie.chars().take(120).collect();
        assert!(matches!(failure.cause, Cause::BadResponse(_)), "{shown:?}: {failure:?}");
        assert_eq!(failure.into_guest("fetch").code, ErrorCode::Failed, "{shown:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_longer_than_its_length_is_cut_there_and_its_connection_is_not_used_again() {
    let server = Server::start(|_| {
        raw("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
    })
    .await;
    let client = client();
    for _ in 0..3 {
        assert_eq!(get(&client, &server.url("/")).await.unwrap().body, b"abc");
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_response_that_comes_before_its_request_is_never_taken_for_its_answer() {
    let server = Server::with(|mut stream| async move {
        use tokio::io::AsyncWriteExt;
        let early = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly";
        let _ = stream.write_all(&early.repeat(3)).await;
        std::future::pending::<()>().await;
    })
    .await;
    let bounds = Bounds { timeout: SHORT, ..bounds() };
    let first = client();
    if let Ok(response) = first.send(request("GET", &server.url("/")), &bounds, &mut AnyHop).await {
        // The bytes may arrive after the request left; then nobody can tell. They do not answer another one.
        assert_eq!(response.body, b"early");
        assert_eq!(server.connections(), 1);
        let _ = first.send(request("GET", &server.url("/")), &bounds, &mut AnyHop).await;
        assert_eq!(server.connections(), 2);
    }
}

#[tokio::test]
async fn too_many_headers_and_too_long_ones_are_an_error() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(100_000));
    let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(1 << 20));
    let name = format!("HTTP/1.1 200 OK\r\n{}: b\r\n\r\n", "a".repeat(1 << 20));
    let status = format!("HTTP/1.1 200 {}\r\n\r\n", "a".repeat(1 << 20));
    let few = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(257));
    for lie in [many, long, name, status, few] {
        let failure = bytes(lie).await.unwrap_err();
        assert!(matches!(failure.cause, Cause::BadResponse(_)), "{failure:?}");
    }
    let some = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "a: b\r\n".repeat(200));
    assert_eq!(bytes(some).await.unwrap().headers.len(), 201);
}

#[tokio::test]
async fn headers_without_end_are_an_error_long_before_they_fill_the_memory() {
    for piece in ["a: b\r\n".to_owned(), "b".repeat(1 << 16)] {
        let server = Server::start(move |_| {
            vec![Step::Send(b"HTTP/1.1 200 OK\r\na: ".to_vec()), Step::Repeat(piece.clone().into_bytes())]
        })
        .await;
        let failure = get(&client(), &server.url("/")).await.unwrap_err();
        assert!(matches!(failure.cause, Cause::BadResponse(_)), "{failure:?}");
        assert!(server.taken() < BUFFERED, "{} bytes were taken", server.taken());
    }
}

#[tokio::test]
async fn trailers_without_end_are_an_error() {
    let server = Server::start(|_| {
        vec![
            Step::Send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n".to_vec()),
            Step::Repeat(b"a: b\r\n".to_vec()),
        ]
    })
    .await;
    let failure = get(&client(), &server.url("/")).await.unwrap_err();
    assert!(matches!(failure.cause, Cause::BadResponse(_) | Cause::Interrupted(_)), "{failure:?}");
    assert!(server.taken() < BUFFERED, "{} bytes were taken", server.taken());
}

/// Encodes as a `Content-Encoding` says.
async fn encoded(codings: &str, plain: &[u8]) -> Vec<u8> {
    let mut bytes = plain.to_vec();
    for coding in codings.split(',').map(str::trim) {
        let mut encoded = Vec::new();
        match coding {
            "gzip" | "x-gzip" => GzipEncoder::new(bytes.as_slice()).read_to_end(&mut encoded).await,
            "deflate" => ZlibEncoder::new(bytes.as_slice()).read_to_end(&mut encoded).await,
            "br" => BrotliEncoder::new(bytes.as_slice()).read_to_end(&mut encoded).await,
            "zstd" => ZstdEncoder::new(bytes.as_slice()).read_to_end(&mut encoded).await,
            _ => bytes.as_slice().read_to_end(&mut encoded).await,
        }
        .unwrap();
        bytes = encoded;
    }
    bytes
}

async fn encoded_answer(codings: &str, body: Vec<u8>) -> Result<Response, Failure> {
    let codings = codings.to_owned();
    answer(move || response("200 OK", &[("content-encoding", codings.as_str()), ("x-a", "b")], &body)).await
}

const CODINGS: [&str; 5] = ["gzip", "x-gzip", "deflate", "br", "zstd"];

#[tokio::test]
async fn an_encoded_body_is_decoded_and_its_headers_no_longer_speak_of_it() {
    for codings in CODINGS.into_iter().chain(["gzip, br", "zstd,deflate", "identity, gzip", "GZIP"]) {
        let body = encoded(&codings.to_lowercase(), b"plain text").await;
        let received = body.len() as u64;
        let response = encoded_answer(codings, body).await.unwrap();
        assert_eq!((response.body.as_slice(), response.received), (b"plain text".as_slice(), received), "{codings}");
        assert_eq!(response.headers, [("x-a".to_owned(), "b".to_owned())], "{codings}");
    }
}

#[tokio::test]
async fn a_bomb_is_cut_off_at_the_bound_counted_after_decoding() {
    let zeros = vec![0; 8 << 20];
    for codings in CODINGS.into_iter().chain(["gzip, gzip", "br, gzip", "zstd, br"]) {
        let body = encoded(codings, &zeros).await;
        assert!(body.len() < 1 << 20, "{codings} is no bomb");
        assert_eq!(cause(encoded_answer(codings, body).await), Cause::TooLarge { max: 1 << 20 }, "{codings}");
    }
}

#[tokio::test]
async fn an_encoded_body_that_decodes_to_nothing_without_end_is_cut_off() {
    let empty = encoded("gzip", b"").await;
    let server = Server::start(move |_| {
        vec![
            Step::Send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n".to_vec()),
            Step::Repeat(empty.repeat(1000)),
        ]
    })
    .await;
    assert_eq!(cause(get(&client(), &server.url("/")).await), Cause::TooLarge { max: 1 << 20 });
    assert!(server.taken() < BUFFERED, "{} bytes were taken", server.taken());
}

#[tokio::test]
async fn a_decoded_body_may_be_exactly_as_long_as_allowed() {
    for coding in CODINGS {
        let exact = encoded(coding, &vec![1; 1 << 20]).await;
        assert_eq!(encoded_answer(coding, exact).await.unwrap().body.len(), 1 << 20, "{coding}");
        let longer = encoded(coding, &vec![1; (1 << 20) + 1]).await;
        assert_eq!(cause(encoded_answer(coding, longer).await), Cause::TooLarge { max: 1 << 20 }, "{coding}");
    }
}

#[tokio::test]
async fn more_than_two_codings_are_an_error() {
    for codings in ["gzip, gzip, gzip", "br, gzip, zstd, deflate"] {
        let body = encoded(codings, b"x").await;
        assert!(matches!(cause(encoded_answer(codings, body).await), Cause::BadResponse(_)), "{codings}");
    }
    let body = encoded("gzip, gzip, gzip", b"x").await;
    let lines = [("content-encoding", "gzip"), ("content-encoding", "gzip"), ("content-encoding", "gzip")];
    let outcome = answer(move || response("200 OK", &lines, &body)).await;
    assert!(matches!(cause(outcome), Cause::BadResponse(_)));
}

#[tokio::test]
async fn an_encoded_body_that_is_damaged_or_cut_short_is_never_a_response() {
    for coding in CODINGS {
        let whole = encoded(coding, &[b'x'; 1000].map(|byte| byte)).await;
        for length in 1..whole.len() {
            let outcome = encoded_answer(coding, whole[..length].to_vec()).await;
            assert!(matches!(cause(outcome), Cause::BadResponse(_)), "{coding} cut to {length} of {}", whole.len());
        }
        let outcome = encoded_answer(coding, b"this is plain text".to_vec()).await;
        assert!(matches!(cause(outcome), Cause::BadResponse(_)), "{coding}");
    }
}

#[tokio::test]
async fn a_coding_that_was_not_asked_for_is_left_to_the_guest() {
    for codings in ["compress", "aws-chunked, gzip"] {
        let response = encoded_answer(codings, b"as it is".to_vec()).await.unwrap();
        assert_eq!(response.body, b"as it is");
        assert!(response.headers.contains(&("content-encoding".to_owned(), codings.to_owned())));
    }
}

#[tokio::test]
async fn a_part_of_a_body_is_asked_for_unencoded() {
    let server = Server::start(|_| ok("")).await;
    let mut asked = request("GET", &server.url("/"));
    asked.headers = vec![("range".into(), "bytes=0-1".into())];
    client().send(asked, &bounds(), &mut AnyHop).await.unwrap();
    assert_eq!(server.requests()[0].header("accept-encoding"), Vec::<&str>::new());
}

#[tokio::test]
async fn a_response_that_has_no_body_has_none_whatever_its_headers_say() {
    let server = Server::start(|request| {
        let status = if request.line() == "HEAD /" { "200 OK" } else { "304 Not Modified" };
        raw(format!("HTTP/1.1 {status}\r\ncontent-encoding: gzip\r\ncontent-length: 1000\r\n\r\n"))
    })
    .await;
    for method in ["HEAD", "GET"] {
        let response = client().send(request(method, &server.url("/")), &bounds(), &mut AnyHop).await.unwrap();
        assert_eq!(response.body, b"", "{method}");
    }
}
