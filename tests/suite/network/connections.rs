//! Connections: used again by their client and nobody else, over HTTP/2 too, and secured as the URL says.

use super::dns::{Dns, addresses};
use super::servers::{Authority, Server, Step, ok, raw};
use super::{AnyHop, allow, bounds, cause, client, get, request};
use everstep::capability::http::{Bounds, Client};
use everstep::guest_error::Reason;
use everstep::network::{Cause, Options};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

fn trusting(authority: &Authority) -> Options {
    Options::system().with_authorities(&[authority.file()]).unwrap()
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::start(|_| ok("")).await;
    let client = client();
    for _ in 0..20 {
        get(&client, &server.url("/")).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (20, 1));
}

#[tokio::test]
async fn no_connection_is_shared_between_clients() {
    let server = Server::start(|_| ok("")).await;
    for _ in 0..3 {
        get(&client(), &server.url("/")).await.unwrap();
    }
    let (first, second) = (client(), client());
    get(&first, &server.url("/")).await.unwrap();
    get(&second, &server.url("/")).await.unwrap();
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn requests_at_the_same_time_do_not_wait_for_each_other() {
    let server = Server::start(|_| ok("")).await;
    let client = client();
    let url = server.url("/");
    let all = futures::future::join_all((0..16).map(|_| get(&client, &url))).await;
    assert!(all.iter().all(Result::is_ok));
    assert!(server.connections() > 1);
    let before = server.connections();
    let all = futures::future::join_all((0..16).map(|_| get(&client, &url))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(server.connections(), before);
}

#[tokio::test]
async fn a_connection_that_its_server_closed_is_replaced() {
    let server = Server::start(|_| ok("").into_iter().chain([Step::Close]).collect()).await;
    let client = client();
    for number in 1..=5 {
        let mut post = request("POST", &server.url("/"));
        post.body = b"x".to_vec().into();
        client.send(post, &bounds(), &mut AnyHop).await.unwrap();
        // A request that meets the end of its connection half-way has an unknown outcome; here the end has arrived.
        while server.closed() < number {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_connection_whose_response_was_not_read_to_its_end_is_not_used_again() {
    let server = Server::start(|request| match request.line() {
        "GET /long" => ok(&"x".repeat(100)),
        "GET /close" => raw("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
        "GET /stall" => vec![Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n".to_vec()), Step::Stall],
        _ => ok("short"),
    })
    .await;
    let client = client();
    let small = Bounds { max_response: 10, ..bounds() };
    let brief = Bounds { timeout: Duration::from_millis(500), ..bounds() };
    let outcome = client.send(request("GET", &server.url("/long")), &small, &mut AnyHop).await;
    assert_eq!(cause(outcome), Cause::TooLarge { max: 10 });
    let outcome = client.send(request("GET", &server.url("/stall")), &brief, &mut AnyHop).await;
    assert_eq!(cause(outcome), Cause::TimedOut);
    get(&client, &server.url("/close")).await.unwrap();
    assert_eq!(get(&client, &server.url("/")).await.unwrap().body, b"short");
    assert_eq!(server.connections(), 4);
}

#[tokio::test]
async fn a_request_that_was_given_up_does_not_disturb_the_next_one() {
    let server = Server::start(|request| match request.line() {
        "GET /never" => vec![Step::Stall],
        _ => ok("next"),
    })
    .await;
    let client = client();
    let url = server.url("/never");
    let given_up = tokio::time::timeout(Duration::from_millis(50), get(&client, &url)).await;
    assert!(given_up.is_err());
    assert_eq!(get(&client, &server.url("/")).await.unwrap().body, b"next");
}

#[tokio::test]
async fn a_request_that_a_server_does_not_take_leaves_no_task() {
    let server = Server::with(|stream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let client = client();
    let mut post = request("POST", &server.url("/"));
    post.body = vec![0; 32 << 20].into();
    let brief = Bounds { timeout: Duration::from_millis(300), ..bounds() };
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let outcome = client.send(post, &brief, &mut AnyHop).await;
    assert_eq!(cause(outcome), Cause::TimedOut);
    // Time for the task that was ended to go; the one that holds the server's side stays.
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!((tasks(), server.connections()), (before + 1, 1));
}

#[tokio::test]
async fn a_certificate_is_checked_with_the_given_authorities() {
    let authority = Authority::new();
    let server = Server::secure(&authority, |_| ok("secret")).await;
    let dns = Dns::start(|_, _| addresses("127.0.0.1")).await;
    let options = trusting(&authority).with_name_servers(&[dns.address]);
    let client = Client::new(&options, allow(&["127.0.0.1"]));
    for host in ["server.test", "SERVER.test.", "127.0.0.1"] {
        let response = get(&client, &format!("https://{host}:{}/", server.port())).await.unwrap();
        assert_eq!(response.body, b"secret", "{host}");
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn the_server_is_asked_for_by_the_name_in_the_url() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&[]);
    let (sender, mut asked) = tokio::sync::mpsc::channel(2);
    let server = Server::with(move |stream| {
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        async move {
            let stream = acceptor.accept(stream).await.unwrap();
            sender.send(stream.get_ref().1.server_name().map(str::to_owned)).await.unwrap();
        }
    })
    .await;
    let dns = Dns::start(|_, _| addresses("127.0.0.1")).await;
    let client = Client::new(&trusting(&authority).with_name_servers(&[dns.address]), allow(&["127.0.0.1"]));
    for (host, name) in [("SERVER.test.", Some("server.test")), ("127.0.0.1", None)] {
        let outcome = get(&client, &format!("https://{host}:{}/", server.port())).await;
        assert!(outcome.is_err(), "it does not answer");
        assert_eq!(asked.recv().await.unwrap().as_deref(), name, "{host}");
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_or_for_another_name_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Server::secure(&authority, |_| ok("secret")).await;
    let dns = Dns::start(|_, _| addresses("127.0.0.1")).await;
    let url = |host: &str| format!("https://{host}:{}/", server.port());
    for (authority, host, why) in [
        (&other, "server.test", "no authority that the host trusts signed its certificate; --ca FILE adds one"),
        (&authority, "another.test", "its certificate is for another name"),
    ] {
        let options = trusting(authority).with_name_servers(&[dns.address]);
        let failure = get(&Client::new(&options, allow(&["127.0.0.1"])), &url(host)).await.unwrap_err();
        assert_eq!(failure.cause, Cause::Connect(Reason::Certificate, why.to_owned()));
        assert!(failure.is_before_sending());
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_plain_server_cannot_answer_https() {
    let server = Server::start(|_| ok("")).await;
    let authority = Authority::new();
    let client = Client::new(&trusting(&authority), allow(&["127.0.0.1"]));
    let bounds = Bounds { connect: Duration::from_millis(300), ..bounds() };
    let url = format!("https://{}/", server.address);
    let failure = client.send(request("GET", &url), &bounds, &mut AnyHop).await.unwrap_err();
    assert!(matches!(failure.cause, Cause::Connect(..)), "{failure:?}");
    assert!(failure.is_before_sending());
}

#[tokio::test]
async fn the_end_of_a_secured_body_must_be_told() {
    // Without a length, the end of the connection is the end of the body; anybody on the way can end a connection.
    let authority = Authority::new();
    let acceptor = authority.acceptor(&[]);
    let server = Server::with(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf of it").await.unwrap();
            stream.flush().await.unwrap();
            let (mut socket, _) = stream.into_inner();
            socket.shutdown().await.unwrap();
        }
    })
    .await;
    let client = Client::new(&trusting(&authority), allow(&["127.0.0.1"]));
    let outcome = get(&client, &format!("https://{}/", server.address)).await;
    assert!(matches!(cause(outcome), Cause::Interrupted(_)));
}

/// Answers over HTTP/2 with what the request was.
async fn serve_http2(stream: TcpStream, acceptor: TlsAcceptor) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(|request: hyper::Request<Incoming>| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let shown = format!("{:?} {} {} {:?} {}", head.version, head.method, head.uri, head.headers, body.len());
        let mut response = hyper::Response::new(Full::new(Bytes::from(shown)));
        match head.uri.path() {
            "/redirect" => {
                *response.status_mut() = hyper::StatusCode::FOUND;
                response.headers_mut().insert("location", "/to".parse().unwrap());
            }
            "/large" => *response.body_mut() = Full::new(vec![0; 4 << 20].into()),
            "/headers" => {
                for _ in 0..5000 {
                    response.headers_mut().append("a", "b".parse().unwrap());
                }
            }
            "/stall" => std::future::pending().await,
            _ => {}
        }
        Ok::<_, Infallible>(response)
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    drop(connection.serve_connection(TokioIo::new(stream), service).await);
}

async fn http2_server(authority: &Authority) -> Server {
    let acceptor = authority.acceptor(&[b"h2", b"http/1.1"]);
    Server::with(move |stream| serve_http2(stream, acceptor.clone())).await
}

#[tokio::test]
async fn http2_is_spoken_where_the_server_offers_it_and_one_connection_serves_many_requests() {
    let authority = Authority::new();
    let server = http2_server(&authority).await;
    let client = Client::new(&trusting(&authority), allow(&["127.0.0.1"]));
    let url = |path: &str| format!("https://{}{path}", server.address);
    let mut post = request("POST", &url("/a?b"));
    post.body = vec![0; 100_000].into();
    post.headers = vec![("x-a".into(), "1".into())];
    post.secret = Some(("authorization".into(), "secret".into()));
    let response = client.send(post, &bounds(), &mut AnyHop).await.unwrap();
    let shown = String::from_utf8(response.body).unwrap();
    assert!(shown.starts_with(&format!("HTTP/2.0 POST {}", url("/a?b"))), "{shown}");
    assert!(
        shown.contains(r#""x-a": "1""#) && shown.contains("authorization") && shown.ends_with(" 100000"),
        "{shown}"
    );
    assert!(!shown.contains(r#""host""#), "{shown}");
    let redirect = url("/redirect");
    let all = futures::future::join_all((0..16).map(|_| get(&client, &redirect))).await;
    for response in all {
        assert_eq!(response.unwrap().url, url("/to"));
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn the_bounds_hold_over_http2() {
    let authority = Authority::new();
    let server = http2_server(&authority).await;
    let client = Client::new(&trusting(&authority), allow(&["127.0.0.1"]));
    let url = |path: &str| format!("https://{}{path}", server.address);
    assert_eq!(cause(get(&client, &url("/large")).await), Cause::TooLarge { max: 1 << 20 });
    let headers = cause(get(&client, &url("/headers")).await);
    assert!(matches!(headers, Cause::BadResponse(_) | Cause::Interrupted(_)), "{headers:?}");
    let brief = Bounds { timeout: Duration::from_millis(500), ..bounds() };
    let outcome = client.send(request("GET", &url("/stall")), &brief, &mut AnyHop).await;
    assert_eq!(cause(outcome), Cause::TimedOut);
    assert!(get(&client, &url("/")).await.is_ok());
}

#[tokio::test]
async fn a_dropped_client_leaves_no_connection() {
    use tokio::io::AsyncReadExt;
    let (ended, mut end) = tokio::sync::mpsc::channel(1);
    let server = Server::with(move |mut stream| {
        let ended = ended.clone();
        async move {
            use tokio::io::AsyncWriteExt;
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            ended.send(stream.read(&mut request).await.unwrap_or(0)).await.unwrap();
        }
    })
    .await;
    let client = client();
    get(&client, &server.url("/")).await.unwrap();
    drop(client);
    assert_eq!(tokio::time::timeout(super::AMPLE, end.recv()).await.unwrap(), Some(0));
}
