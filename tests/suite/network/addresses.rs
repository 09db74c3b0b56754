//! Where connections may lead. The listeners would answer: what is refused is refused before they are reached.

use super::dns::{Answer, Dns, addresses};
use super::servers::{Server, ok};
use super::{AnyHop, allow, bounds, cause, client, get, request};
use everstep::capability::http::Client;
use everstep::network::address::{Class, Rules};
use everstep::network::{Cause, Options};
use everstep::{ErrorCode, network};
use std::time::Duration;

fn asking(dns: &Dns) -> Options {
    Options::system().with_name_servers(&[dns.address])
}

/// Hosts that are the machine itself, by every spelling.
const LOOPBACK: [&str; 21] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.0x1",
    "127.0.0.1.",
    "127.255.255.254",
    "\u{ff11}27.0.0.1",
    "127\u{3002}0.0.1",
    "0",
    "0.0.0.0",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::]",
    "[::127.0.0.1]",
];

#[tokio::test]
async fn every_spelling_of_loopback_is_refused_before_a_listener_is_reached() {
    let server = Server::at("0.0.0.0:0", |_| ok("reached")).await;
    let six = Server::at(&format!("[::1]:{}", server.port()), |_| ok("reached")).await;
    let dns = Dns::start(|_, _| addresses("127.0.0.1 ::1")).await;
    let client = Client::new(&asking(&dns), Rules::default());
    let names =
        ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1.nip.io", "app-127-0-0-1.nip.io", "0x7f000001.test"];
    for host in LOOPBACK.into_iter().chain(names) {
        let failure = get(&client, &format!("http://{host}:{}/", server.port())).await.unwrap_err();
        assert!(matches!(failure.cause, Cause::Refused(_)), "{host}: {failure:?}");
        assert!(failure.is_before_sending() && failure.address.is_some(), "{host}: {failure:?}");
    }
    assert_eq!((server.connections(), six.connections()), (0, 0));
    // What is refused would have been reached.
    let client = Client::new(&asking(&dns), allow(&["127.0.0.0/8", "::1", "0.0.0.0"]));
    for host in ["127.1", "2130706433", "0", "[::1]", "[::ffff:127.0.0.1]", "localhost", "127.0.0.1.nip.io"] {
        let response = get(&client, &format!("http://{host}:{}/", server.port())).await.unwrap();
        assert_eq!(response.body, b"reached", "{host}");
    }
    assert!(server.connections() > 0 && six.connections() > 0);
}

#[tokio::test]
async fn names_of_the_machine_itself_are_not_asked_for() {
    let dns = Dns::start(|_, _| addresses("8.8.8.8")).await;
    let client = Client::new(&asking(&dns), Rules::default());
    for host in ["localhost", "localhost.", "a.localhost", "a.b.LocalHost"] {
        assert_eq!(cause(get(&client, &format!("http://{host}/")).await), Cause::Refused(Class::Loopback), "{host}");
    }
    assert_eq!(dns.queries(), []);
}

#[tokio::test]
async fn a_name_whose_answers_are_all_blocked_is_refused_whatever_their_form() {
    let dns =
        Dns::start(|name, _| addresses(&name.trim_end_matches(".test").replace('-', ":").replace('_', "."))).await;
    let client = Client::new(&asking(&dns), Rules::default());
    for (name, class) in [
        ("10_0_0_1", Class::Private),
        ("192_168_1_1", Class::Private),
        ("172_16_0_1", Class::Private),
        ("100_64_0_1", Class::Shared),
        ("169_254_169_254", Class::Metadata),
        ("fd00-ec2--254", Class::Metadata),
        ("fd12--1", Class::UniqueLocal),
        ("fe80--1", Class::LinkLocal),
        ("0_0_0_0", Class::Unspecified),
        ("224_0_0_1", Class::Multicast),
        ("255_255_255_255", Class::Broadcast),
        ("--ffff-10_0_0_1", Class::Private),
        ("64-ff9b--10_0_0_1", Class::Private),
        ("2002-a00-1--", Class::Private),
    ] {
        // A label that begins or ends with a hyphen is a name, too.
        let outcome = get(&client, &format!("http://{name}.test/")).await;
        assert_eq!(cause(outcome), Cause::Refused(class), "{name}");
    }
}

#[tokio::test]
async fn a_refusal_tells_the_guest_no_address_and_is_no_failure_of_the_network() {
    let dns = Dns::start(|_, _| addresses("10.11.12.13")).await;
    let client = Client::new(&asking(&dns), Rules::default());
    let refused = get(&client, "http://secret.test/path?query").await.unwrap_err();
    assert!(!refused.is_transient());
    assert_eq!(refused.address, Some("10.11.12.13:80".parse().unwrap()), "for the audit log");
    let error = refused.into_guest("fetch GET secret.test:80");
    assert_eq!(error.code, ErrorCode::Denied);
    assert_eq!(error.message, "fetch GET secret.test:80 ([network] permits no address of this host)");
}

#[tokio::test]
async fn a_rebound_name_is_resolved_once_and_the_address_that_was_checked_is_connected() {
    let dns = Dns::start(|_, before| addresses(if before == 0 { "127.0.0.1" } else { "127.0.0.2" })).await;
    let good = Server::start(|_| ok("good")).await;
    let bad = Server::at(&format!("127.0.0.2:{}", good.port()), |_| ok("bad")).await;
    let client = Client::new(&asking(&dns), allow(&["127.0.0.1"]));
    let url = format!("http://rebind.test:{}/", good.port());
    let response = get(&client, &url).await.unwrap();
    assert_eq!((response.body.as_slice(), response.address), (b"good".as_slice(), Some(good.address)));
    assert_eq!(dns.asked("rebind.test"), 1);
    // The connection that was checked is used again without asking.
    assert_eq!(get(&client, &url).await.unwrap().body, b"good");
    assert_eq!((dns.asked("rebind.test"), good.connections(), bad.connections()), (1, 1, 0));
}

#[tokio::test]
async fn a_new_connection_resolves_again_and_is_judged_again() {
    let dns = Dns::start(|_, before| addresses(if before == 0 { "127.0.0.1" } else { "127.0.0.2" })).await;
    let good = Server::start(|_| [ok("good"), vec![super::servers::Step::Close]].into_iter().flatten().collect()).await;
    let bad = Server::at(&format!("127.0.0.2:{}", good.port()), |_| ok("bad")).await;
    let url = format!("http://rebind.test:{}/", good.port());
    let options = asking(&dns);
    assert_eq!(get(&Client::new(&options, allow(&["127.0.0.1"])), &url).await.unwrap().body, b"good");
    let outcome = get(&Client::new(&options, allow(&["127.0.0.1"])), &url).await;
    assert_eq!(cause(outcome), Cause::Refused(Class::Loopback));
    assert_eq!((dns.asked("rebind.test"), bad.connections()), (2, 0));
}

#[tokio::test]
async fn of_mixed_answers_only_the_permitted_ones_are_connected() {
    for answers in ["127.0.0.2 127.0.0.1", "127.0.0.1 127.0.0.2", "127.0.0.2 127.0.0.3 ::1 127.0.0.1"] {
        let dns = Dns::start(move |_, _| addresses(answers)).await;
        let good = Server::start(|_| ok("good")).await;
        let bad = Server::at(&format!("127.0.0.2:{}", good.port()), |_| ok("bad")).await;
        let client = Client::new(&asking(&dns), allow(&["127.0.0.1"]));
        let response = get(&client, &format!("http://mixed.test:{}/", good.port())).await.unwrap();
        assert_eq!((response.body.as_slice(), response.address), (b"good".as_slice(), Some(good.address)), "{answers}");
        assert_eq!(bad.connections(), 0, "{answers}");
    }
}

#[tokio::test]
async fn a_permitted_address_that_does_not_answer_is_followed_by_the_next_permitted_one() {
    let dns = Dns::start(|_, _| addresses("127.0.0.2 127.0.0.3 127.0.0.1")).await;
    let good = Server::start(|_| ok("good")).await;
    let bad = Server::at(&format!("127.0.0.3:{}", good.port()), |_| ok("bad")).await;
    let client = Client::new(&asking(&dns), allow(&["127.0.0.1", "127.0.0.2"]));
    let response = get(&client, &format!("http://many.test:{}/", good.port())).await.unwrap();
    assert_eq!(response.body, b"good");
    assert_eq!(bad.connections(), 0);
}

#[tokio::test]
async fn an_alias_is_judged_by_its_addresses() {
    let dns = Dns::start(|name, _| {
        let address = if name == "good.test" { "127.0.0.1" } else { "127.0.0.2" };
        Answer::Alias("elsewhere.test", vec![address.parse().unwrap()])
    })
    .await;
    let server = Server::start(|_| ok("good")).await;
    let client = Client::new(&asking(&dns), allow(&["127.0.0.1"]));
    let url = |name: &str| format!("http://{name}.test:{}/", server.port());
    assert_eq!(get(&client, &url("good")).await.unwrap().body, b"good");
    assert_eq!(server.requests()[0].header("host"), [format!("good.test:{}", server.port())]);
    assert_eq!(cause(get(&client, &url("bad")).await), Cause::Refused(Class::Loopback));
}

#[tokio::test]
async fn names_without_addresses_are_not_found() {
    let dns = Dns::start(|name, _| if name == "empty.test" { Answer::Nothing } else { Answer::NoName }).await;
    let client = Client::new(&asking(&dns), Rules::default());
    for name in ["empty.test", "missing.test"] {
        let failure = get(&client, &format!("http://{name}/")).await.unwrap_err();
        assert_eq!(failure.cause, Cause::NotFound, "{name}");
        assert!(failure.is_before_sending() && !failure.is_transient(), "{name}");
        assert_eq!(failure.into_guest("fetch").code, ErrorCode::NotFound);
    }
}

#[tokio::test]
async fn names_are_asked_for_as_they_are() {
    let dns = Dns::start(|_, _| Answer::NoName).await;
    let client = Client::new(&asking(&dns), Rules::default());
    for name in ["single", "two.labels", "trailing.dot."] {
        assert_eq!(cause(get(&client, &format!("http://{name}/")).await), Cause::NotFound, "{name}");
    }
    let mut names: Vec<_> = dns.queries().into_iter().map(|(name, _)| name).collect();
    names.dedup();
    assert_eq!(names, ["single", "two.labels", "trailing.dot"]);
}

#[tokio::test]
async fn a_name_server_that_is_silent_or_broken_costs_no_more_than_the_time_for_a_connection() {
    let bounds = network_bounds(Duration::from_millis(300));
    for (name, answer) in [("silent.test", true), ("broken.test", false)] {
        let dns = Dns::start(move |_, _| if answer { Answer::Silence } else { Answer::Garbage }).await;
        let client = Client::new(&asking(&dns), Rules::default());
        let url = format!("http://{name}/");
        let failure = client.send(request("GET", &url), &bounds, &mut AnyHop).await.unwrap_err();
        assert!(matches!(failure.cause, Cause::Connect(..)), "{name}: {failure:?}");
        assert!(failure.is_before_sending() && failure.is_transient(), "{name}: {failure:?}");
    }
}

fn network_bounds(connect: Duration) -> everstep::capability::http::Bounds {
    everstep::capability::http::Bounds { connect, ..bounds() }
}

#[tokio::test]
async fn of_an_answer_without_end_only_the_first_addresses_are_tried() {
    // Nobody listens there; with every one of them tried, the last would answer.
    let dns = Dns::start(|_, _| {
        let quiet = (1..60).map(|last| format!("127.0.1.{last}"));
        addresses(&quiet.chain(["127.0.0.1".to_owned()]).collect::<Vec<_>>().join(" "))
    })
    .await;
    let server = Server::start(|_| ok("reached")).await;
    let client = Client::new(&asking(&dns), allow(&["127.0.0.0/8"]));
    let outcome = get(&client, &format!("http://many.test:{}/", server.port())).await;
    assert!(matches!(cause(outcome), Cause::Connect(..)));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_closed_port_is_a_failure_before_sending_without_an_address_in_its_text() {
    let server = Server::start(|_| ok("")).await;
    let url = server.url("/");
    let address = server.address;
    drop(server);
    tokio::task::yield_now().await;
    let failure = get(&client(), &url).await.unwrap_err();
    assert_eq!(failure.address, Some(address));
    assert!(failure.is_before_sending() && failure.is_transient(), "{failure:?}");
    let error = failure.into_guest("fetch GET it");
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::Failed, "fetch GET it (connection refused)"));
}

#[tokio::test]
async fn the_port_is_that_of_the_url() {
    let server = Server::start(|_| ok("right")).await;
    let other = Server::start(|_| ok("wrong")).await;
    let dns = Dns::start(|_, _| addresses("127.0.0.1")).await;
    let client = Client::new(&asking(&dns), allow(&["127.0.0.1"]));
    let response = get(&client, &format!("http://port.test:{}/", server.port())).await.unwrap();
    assert_eq!((response.body.as_slice(), response.address), (b"right".as_slice(), Some(server.address)));
    assert_eq!(response.url, format!("http://port.test:{}/", server.port()));
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_blocked_range_is_refused_even_though_it_is_global() {
    let dns = Dns::start(|_, _| addresses("8.8.8.8")).await;
    let rules = Rules { block: vec!["8.8.8.0/24".parse().unwrap()], allow: Vec::new() };
    let client = Client::new(&asking(&dns), rules);
    for url in ["http://8.8.8.8/", "http://[::ffff:8.8.8.8]/", "http://[64:ff9b::808:808]/", "http://name.test/"] {
        assert_eq!(cause(get(&client, url).await), Cause::Refused(Class::Blocked), "{url}");
    }
}

#[test]
fn a_file_of_authorities_that_holds_none_is_refused_with_its_name() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("ca.pem");
    let with = || Options::system().with_authorities(std::slice::from_ref(&file)).unwrap_err();
    assert!(matches!(with(), network::Error::Read { path, .. } if path == file));
    std::fs::write(&file, "no certificate").unwrap();
    assert!(matches!(with(), network::Error::NoCertificate { path } if path == file));
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(matches!(with(), network::Error::BadCertificate { path, .. } if path == file));
}
