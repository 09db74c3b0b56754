//! Where connections are led: every hop is decided and checked as if it were the first.

use super::servers::{Authority, Received, Server, Step, ok, redirect, response};
use super::{AnyHop, allow, bounds, cause, client, get, request};
use everstep::capability::http::{Bounds, Client, Hops, Request, Response};
use everstep::network::address::Class;
use everstep::network::{Cause, Failure, Options};
use everstep::policy::url::Target;
use everstep::{ErrorCode, GuestError};

/// A server whose path `/from` leads to `location`, and that answers everything else.
async fn leading_to(status: u16, location: &str) -> Server {
    let location = location.to_owned();
    Server::start(move |request| match request.line().ends_with("/from") {
        true => redirect(status, &location),
        false => ok("arrived"),
    })
    .await
}

async fn send(request: Request) -> Result<Response, Failure> {
    client().send(request, &bounds(), &mut AnyHop).await
}

fn line(received: &Received) -> &str {
    received.line()
}

#[tokio::test]
async fn a_redirect_to_an_address_of_any_forbidden_class_is_refused() {
    for (host, class) in [
        ("127.0.0.2", Class::Loopback),
        ("127.2", Class::Loopback),
        ("2130706434", Class::Loopback),
        ("0x7f.2", Class::Loopback),
        ("0177.0.0.2", Class::Loopback),
        ("[::1]", Class::Loopback),
        ("0", Class::Unspecified),
        ("10.0.0.1", Class::Private),
        ("172.16.0.1", Class::Private),
        ("192.168.0.1", Class::Private),
        ("100.64.0.1", Class::Shared),
        ("169.254.1.1", Class::LinkLocal),
        ("169.254.169.254", Class::Metadata),
        ("100.100.100.200", Class::Metadata),
        ("224.0.0.1", Class::Multicast),
        ("255.255.255.255", Class::Broadcast),
        ("192.0.2.1", Class::Documentation),
        ("240.0.0.1", Class::Reserved),
        ("[fd00:ec2::254]", Class::Metadata),
        ("[fd00::1]", Class::UniqueLocal),
        ("[fe80::1]", Class::LinkLocal),
        ("[ff02::1]", Class::Multicast),
        ("[::ffff:127.0.0.2]", Class::Loopback),
        ("[64:ff9b::7f00:2]", Class::Loopback),
        ("[2002:7f00:2::]", Class::Loopback),
    ] {
        let server = leading_to(302, &format!("http://{host}/")).await;
        let failure = get(&client(), &server.url("/from")).await.unwrap_err();
        assert_eq!(failure.cause, Cause::Refused(class), "{host}");
        assert!(!failure.is_before_sending(), "the first hop was sent");
    }
}

#[tokio::test]
async fn a_redirect_to_what_is_no_web_server_is_refused() {
    for location in [
        "file:///etc/passwd",
        "data:text/plain,x",
        "javascript:1",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1/",
        "ws://127.0.0.1/",
        "http://",
        "http://user@127.0.0.1/",
        "http://user:password@127.0.0.1/",
        "//user@127.0.0.1/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/",
        "http:\\\\127.0.0.1\\",
        "/%2e%2e%2f",
        "http://a b/",
    ] {
        let server = leading_to(307, location).await;
        let outcome = get(&client(), &server.url("/from")).await;
        let Cause::Misled(_) = cause(outcome) else { panic!("{location}") };
        assert_eq!(server.requests().len(), 1, "{location}");
    }
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_refused() {
    let authority = Authority::new();
    let plain = Server::start(|_| ok("")).await;
    let location = plain.url("/");
    let secure = Server::secure(&authority, move |_| redirect(302, &location)).await;
    let options = Options::system().with_authorities(&[authority.file()]).unwrap();
    let client = Client::new(&options, allow(&["127.0.0.1"]));
    let failure = get(&client, &format!("https://{}/", secure.address)).await.unwrap_err();
    assert_eq!(failure.cause, Cause::Misled("a redirect leads from https to http"));
    assert_eq!(failure.into_guest("fetch").code, ErrorCode::Denied);
    assert_eq!(plain.connections(), 0);
}

/// Records what it is asked, and refuses one path.
struct Recorded {
    asked: Vec<(String, String)>,
    refuse: &'static str,
}

impl Hops for Recorded {
    fn decide(&mut self, method: &str, url: &Target) -> Result<(), GuestError> {
        self.asked.push((method.to_owned(), url.path().to_owned()));
        if url.path() == self.refuse { Err(GuestError::new(ErrorCode::Denied, "no")) } else { Ok(()) }
    }
}

#[tokio::test]
async fn each_hop_is_decided_before_it_is_followed() {
    let server = Server::start(|request| match line(request) {
        "POST /a" => redirect(302, "/b"),
        "GET /b" => redirect(308, "c?q=1#fragment"),
        "GET /c?q=1" => redirect(307, "/d"),
        _ => ok("arrived"),
    })
    .await;
    let mut hops = Recorded { asked: Vec::new(), refuse: "/d" };
    let failure = client().send(request("POST", &server.url("/a")), &bounds(), &mut hops).await.unwrap_err();
    assert_eq!(failure.cause, Cause::Denied(GuestError::new(ErrorCode::Denied, "no")));
    assert_eq!(failure.into_guest("x").message, "no");
    let asked: Vec<_> = hops.asked.iter().map(|(method, path)| (method.as_str(), path.as_str())).collect();
    assert_eq!(asked, [("GET", "/b"), ("GET", "/c"), ("GET", "/d")]);
    let requests = server.requests();
    assert_eq!(requests.iter().map(line).collect::<Vec<_>>(), ["POST /a", "GET /b", "GET /c?q=1"]);
    let mut hops = Recorded { asked: Vec::new(), refuse: "/nothing" };
    let response = client().send(request("POST", &server.url("/a")), &bounds(), &mut hops).await.unwrap();
    assert_eq!((response.hops, response.url), (3, server.url("/d")));
}

#[tokio::test]
async fn redirects_end_at_their_bound() {
    let server =
        Server::start(|request| redirect(302, &format!("{}x", line(request).trim_start_matches("GET ")))).await;
    let failure = get(&client(), &server.url("/")).await.unwrap_err();
    assert_eq!(failure.cause, Cause::Redirects { max: 5 });
    assert_eq!(server.requests().len(), 6);
    assert_eq!(failure.into_guest("fetch").code, ErrorCode::LimitExceeded);
}

#[tokio::test]
async fn a_loop_ends_at_the_bound() {
    let server = Server::start(|_| redirect(307, "/")).await;
    let mut looping = request("POST", &server.url("/"));
    looping.body = b"body".to_vec().into();
    assert_eq!(cause(send(looping).await), Cause::Redirects { max: 5 });
    let requests = server.requests();
    assert_eq!(requests.len(), 6);
    assert!(requests.iter().all(|request| request.body == b"body"));
}

#[tokio::test]
async fn without_redirects_granted_a_redirect_is_a_response() {
    let server = leading_to(302, "http://10.0.0.1/").await;
    let bounds = Bounds { redirects: 0, ..bounds() };
    let response = client().send(request("GET", &server.url("/from")), &bounds, &mut AnyHop).await.unwrap();
    assert_eq!((response.status, response.hops), (302, 0));
    assert!(response.headers.contains(&("location".to_owned(), "http://10.0.0.1/".to_owned())));
}

#[tokio::test]
async fn a_status_that_is_no_redirect_and_a_redirect_without_location_are_responses() {
    for status in [201, 300, 304, 305, 306] {
        let server = leading_to(status, "/to").await;
        assert_eq!(get(&client(), &server.url("/from")).await.unwrap().status, status);
    }
    let server = Server::start(|_| response("302 Found", &[], b"")).await;
    assert_eq!(get(&client(), &server.url("/")).await.unwrap().status, 302);
}

#[tokio::test]
async fn the_status_says_what_becomes_of_method_and_body() {
    for (status, method, expected) in [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "DELETE", "GET"),
        (303, "HEAD", "HEAD"),
        (301, "PUT", "PUT"),
        (302, "DELETE", "DELETE"),
        (302, "HEAD", "HEAD"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (308, "PATCH", "PATCH"),
    ] {
        let server = leading_to(status, "/to").await;
        let mut from = request(method, &server.url("/from"));
        if method != "HEAD" {
            from.body = b"body".to_vec().into();
            from.headers.push(("content-type".to_owned(), "text/plain".to_owned()));
        }
        let kept = method == expected && method != "HEAD";
        send(from).await.unwrap();
        let to = &server.requests()[1];
        assert_eq!(line(to), format!("{expected} /to"), "{status} {method}");
        assert_eq!(to.body, if kept { b"body".as_slice() } else { b"" }, "{status} {method}");
        assert_eq!(to.header("content-type").is_empty(), !kept, "{status} {method}");
    }
}

fn with_credentials(url: &str) -> Request {
    let mut request = request("GET", url);
    for (name, value) in [("authorization", "mine"), ("Cookie", "a=b"), ("x-key", "guess"), ("x-other", "stays")] {
        request.headers.push((name.to_owned(), value.to_owned()));
    }
    request.secret = Some(("x-key".to_owned(), "secret".to_owned()));
    request
}

#[tokio::test]
async fn credentials_stay_with_their_origin_for_good() {
    let other = Server::start(|request| match line(request) {
        "GET /back" => redirect(302, &format!("http://{}/end", request.header("x-other")[0])),
        _ => ok(""),
    })
    .await;
    let away = other.url("/back");
    let first = Server::start(move |request| match line(request) {
        "GET /start" => redirect(302, "/same"),
        "GET /same" => redirect(302, &away),
        _ => ok("end"),
    })
    .await;
    let mut start = with_credentials(&first.url("/start"));
    start.headers.last_mut().unwrap().1 = first.address.to_string();
    assert_eq!(send(start).await.unwrap().body, b"end");
    let requests = first.requests();
    for request in &requests[..2] {
        assert_eq!(request.header("x-key"), ["secret"], "the host's value replaces the guest's");
        assert_eq!((request.header("authorization"), request.header("cookie")), (vec!["mine"], vec!["a=b"]));
    }
    for request in [&other.requests()[0], &requests[2]] {
        for name in ["x-key", "authorization", "cookie"] {
            assert!(request.header(name).is_empty(), "{name} in {}", request.head);
        }
        assert_eq!(request.header("x-other"), [first.address.to_string()]);
    }
    assert!(!first.requests().iter().chain(&other.requests()).any(|request| request.head.contains("referer")));
}

#[tokio::test]
async fn another_scheme_or_host_or_port_is_another_origin() {
    let authority = Authority::new();
    let secure = Server::secure(&authority, |_| ok("")).await;
    let options = Options::system().with_authorities(&[authority.file()]).unwrap();
    let client = Client::new(&options, allow(&["127.0.0.1", "127.0.0.2"]));
    let location = format!("https://127.0.0.1:{}/", secure.port());
    let server = leading_to(302, &location).await;
    client.send(with_credentials(&server.url("/from")), &bounds(), &mut AnyHop).await.unwrap();
    assert!(secure.requests()[0].header("x-key").is_empty());
    let server = Server::at("0.0.0.0:0", |request| match line(request) {
        "GET /from" => {
            redirect(302, &format!("http://127.0.0.2:{}/to", request.header("host")[0].split_once(':').unwrap().1))
        }
        _ => ok(""),
    })
    .await;
    let url = format!("http://127.0.0.1:{}/from", server.port());
    client.send(with_credentials(&url), &bounds(), &mut AnyHop).await.unwrap();
    assert_eq!(server.requests()[0].header("x-key"), ["secret"]);
    assert!(server.requests()[1].header("x-key").is_empty());
}

#[tokio::test]
async fn the_body_of_a_redirect_is_skipped_whatever_its_length() {
    let endless = Server::start(|request| match line(request) {
        "GET /short" => response("302 Found", &[("location", "/to")], &[0; 1000]),
        "GET /endless" => vec![
            Step::Send(b"HTTP/1.1 302 Found\r\nlocation: /to\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()),
            Step::Repeat([b"1000\r\n".as_slice(), &[0; 0x1000], b"\r\n"].concat()),
        ],
        "GET /stalled" => {
            vec![Step::Send(b"HTTP/1.1 302 Found\r\nlocation: /to\r\ncontent-length: 10\r\n\r\n".to_vec()), Step::Stall]
        }
        _ => ok("arrived"),
    })
    .await;
    for path in ["/short", "/endless", "/stalled"] {
        assert_eq!(get(&client(), &endless.url(path)).await.unwrap().body, b"arrived", "{path}");
    }
    assert_eq!(endless.connections(), 5, "only the connection with the short body was used again");
}
