//! A secret that the host attaches is nowhere: servers that give it back in every common way, whole and in parts, and what the
//! guest, the journal and the audit then hold.

use crate::network::servers::{Received, Step, ok, raw, redirect, response};
use crate::site::Site;
use crate::support::{Place, failure, id, life, outcome, parse, result, run};
use async_compression::tokio::bufread::GzipEncoder;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use everstep::store::{FailureKind, State};
use everstep::{ErrorCode, Policy, Run};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

/// The secret of these tests, and the part of it that is one by itself.
const SECRET: &str = "Bearer s3cret/T0ken+va1ue";
const BARE: &str = "s3cret/T0ken+va1ue";

/// A policy with the secret, in a folder with its audit log.
struct Guarded {
    folder: TempDir,
    policy: Policy,
}

impl Guarded {
    /// One rule with the secret for a whole site, and `more` after it.
    fn new(site: &Site, terms: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), SECRET).unwrap();
        let place = |name: &str| folder.path().join(name).display().to_string();
        let policy = parse(&format!(
            "[network]\nblock = [\"non-global\"]\nallow = [\"127.0.0.1/32\"]\n[audit]\nfile = \"{}\"\n\
             [[fetch]]\nid = \"site\"\nurl = \"{}\"\nmethods = [\"GET\"]\nsecret = {{ header = \"authorization\", from = \"file:{}\" }}\n{terms}\n{more}\n",
            place("audit.jsonl"),
            site.url("/**"),
            place("token"),
        ));
        Self { folder, policy }
    }

    fn fetch(&self, args: &Value) -> Run {
        Run { policy: self.policy.clone(), ..run("fetches", &args.to_string()) }
    }

    fn audit(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap()
    }

    fn log(&self) -> PathBuf {
        Path::new(self.folder.path()).join("audit.jsonl")
    }

    /// Runs a fetch over each store, and checks that the secret is nowhere; what the guest is told, once for each.
    fn nowhere(&self, args: &Value) -> Vec<everstep::Report> {
        let each = Place::each().map(|place| {
            let report = outcome(place.host(), self.fetch(args));
            let journal = life(async { place.host().build().unwrap().reader().journal(&id("x")).await.unwrap() });
            clean("the report", &format!("{report:?}"));
            clean("the journal", &String::from_utf8_lossy(&journal));
            clean("the audit", &self.audit());
            report
        });
        each.collect()
    }
}

/// The ways in which the secret would show itself here.
fn clean(what: &str, text: &str) {
    let text = text.to_lowercase();
    let cores = (0..3).map(|before| {
        let encoded = STANDARD_NO_PAD.encode([&vec![0; before], BARE.as_bytes()].concat());
        encoded[(8 * before).div_ceil(6)..8 * (before + BARE.len()) / 6].to_owned()
    });
    let plain =
        [BARE.to_owned(), BARE.replace('/', "%2f"), BARE.replace('/', "%2f").replace('+', "%2b"), hex::encode(BARE)];
    let parts = ["s3cret".to_owned(), "t0ken".to_owned()];
    for form in plain.into_iter().chain(cores).chain(parts) {
        assert!(!text.contains(&form.to_lowercase()), "{what} holds {form}: {text}");
    }
}

fn bearer(received: &Received) -> String {
    received.header("authorization").first().copied().unwrap_or("none").to_owned()
}

fn get(site: &Site, path: &str) -> Value {
    json!({ "url": site.url(path) })
}

fn is_denied(reports: &[everstep::Report], why: &str) {
    for report in reports {
        let (kind, message) = failure(report);
        assert_eq!(kind, FailureKind::Returned(ErrorCode::Denied), "{report:?}");
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn a_redirect_that_carries_the_secret_is_followed_or_denied_without_it() {
    let forms = |token: &str| {
        let percent = token.replace(' ', "%20").replace('/', "%2F").replace('+', "%2B");
        vec![
            format!("t={percent}"),
            format!("t={}", token.replace(' ', "%20")),
            format!("t={}", URL_SAFE.encode(format!("a{token}b"))),
            format!("t={}", STANDARD.encode(token).replace('+', "%2B")),
            format!("t={}", hex::encode(token)),
            format!("t={}", token.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>()),
        ]
    };
    for form in 0..forms(SECRET).len() {
        for (base, allowed) in [("/landed", true), ("http://denied.example/", false), ("http://127.0.0.1:9/", false)] {
            let site = Site::start(move |received| match received.line() {
                "GET /" => redirect(302, &format!("{base}?{}", forms(&bearer(received))[form])),
                _ => ok("landed"),
            });
            let guarded = Guarded::new(&site, "redirects = 2", "");
            let reports = guarded.nowhere(&get(&site, "/"));
            let states: Vec<State> = reports.iter().map(|report| report.state).collect();
            assert!(states.iter().all(|state| (*state == State::Completed) == allowed), "{reports:?}");
            assert!(guarded.audit().contains("http.redirect"), "{}", guarded.audit());
        }
    }
}

#[test]
fn a_redirect_whose_host_or_path_is_the_secret_is_noted_without_it() {
    for location in [
        "http://s3cret-t0ken-host.example/x",
        "/s3cret-t0ken-host",
        "//S3CRET-T0KEN-HOST.example/",
        "http://u:s3cret-t0ken-host@x.example/",
    ] {
        let site = Site::start(move |_| redirect(302, location));
        let guarded = Guarded::new(&site, "redirects = 1", "");
        std::fs::write(guarded.folder.path().join("token"), "s3cret-T0ken-host").unwrap();
        guarded.nowhere(&get(&site, "/"));
    }
}

#[test]
fn a_secret_in_the_names_and_values_of_headers_is_taken_out() {
    let site = Site::start(|received| {
        let bearer = bearer(received);
        let bare = bearer.trim_start_matches("Bearer ");
        let name = format!("x-{}", bare.replace(['/', '+'], "-"));
        let headers = [
            ("x-plain", bearer.clone()),
            ("x-upper", bearer.to_uppercase()),
            ("x-quoted", format!("{bearer:?}")),
            ("x-base64", STANDARD.encode(format!("u:{bare}"))),
            ("set-cookie", format!("token={}; Path=/", bare.replace('/', "%2F").replace('+', "%2B"))),
            ("location", format!("/next?token={bare}")),
            (name.as_str(), "value".to_owned()),
            ("x-last", "fine".to_owned()),
        ];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        response("200 OK", &headers, b"")
    });
    for report in Guarded::new(&site, "", "").nowhere(&get(&site, "/")) {
        assert!(result(&report).contains("fine") && result(&report).contains("[secret]"), "{report:?}");
    }
    // A name can be the secret itself.
    let site = Site::start(|received| response("200 OK", &[(&bearer(received), "value"), ("x-last", "fine")], b""));
    let guarded = Guarded::new(&site, "", "");
    std::fs::write(guarded.folder.path().join("token"), "s3cret-T0ken-name").unwrap();
    for report in guarded.nowhere(&get(&site, "/")) {
        assert!(result(&report).contains("fine"), "{report:?}");
    }
}

#[test]
fn a_secret_in_a_body_is_taken_out_however_it_is_written() {
    let written = |token: &str| -> Vec<Vec<u8>> {
        let json = json!({ "headers": { "Authorization": token } }).to_string();
        let nested = json!({ "body": json }).to_string();
        let wide: Vec<u8> = json.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let unicode: String = token.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
        let lines: Vec<String> = STANDARD
            .encode(&json)
            .as_bytes()
            .chunks(76)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        let mut all: Vec<Vec<u8>> = vec![
            json.clone().into_bytes(),
            nested.into_bytes(),
            json.replace('/', "\\/").into_bytes(),
            wide,
            format!("{{\"token\":\"{unicode}\"}}").into_bytes(),
            lines.join("\r\n").into_bytes(),
            hex::encode(&json).into_bytes(),
            format!("token={}", token.replace(' ', "+").replace('/', "%2F").replace('+', "%2B")).into_bytes(),
            token.replace('/', "&#x2F;").replace('+', "&plus;").into_bytes(),
            json!({ "data": token.as_bytes() }).to_string().into_bytes(),
            STANDARD.encode(STANDARD.encode(&json)).into_bytes(),
        ];
        for before in ["", "a", "ab"] {
            all.push(STANDARD.encode(format!("{before}{token}")).into_bytes());
            all.push(URL_SAFE.encode(format!("{before}{token}, and more")).into_bytes());
        }
        all
    };
    let site = Site::start(move |received| {
        let number: usize = received.line().trim_start_matches("GET /").parse().unwrap();
        response("200 OK", &[], &written(&bearer(received))[number])
    });
    let guarded = Guarded::new(&site, "", "");
    for number in 0..written(SECRET).len() {
        for report in guarded.nowhere(&get(&site, &format!("/{number}"))) {
            assert!(result(&report).contains("[secret]"), "{number}: {report:?}");
        }
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let encode = || {
        life(async {
            let mut encoded = Vec::new();
            GzipEncoder::new(plain).read_to_end(&mut encoded).await.unwrap();
            encoded
        })
    };
    // A server calls this, within its own runtime.
    std::thread::scope(|scope| scope.spawn(encode).join().unwrap())
}

#[test]
fn an_encoded_body_is_searched_and_one_that_cannot_be_decoded_is_refused() {
    for (codings, times) in [("gzip", 1), ("x-gzip", 1), ("identity, gzip", 1), ("gzip, gzip", 2)] {
        let site = Site::start(move |received| {
            let body = (0..times).fold(bearer(received).into_bytes(), |body, _| gzip(&body));
            response("200 OK", &[("content-encoding", codings)], &body)
        });
        for report in Guarded::new(&site, "", "").nowhere(&get(&site, "/")) {
            assert!(result(&report).contains("[secret]"), "{codings}: {report:?}");
        }
    }
    let unknown = [
        [("content-encoding", "gzip, foo")].as_slice(),
        &[("content-encoding", "foo, gzip")],
        &[("content-encoding", "compress")],
        &[("content-encoding", "aws-chunked")],
        &[("content-encoding", "gzip"), ("content-encoding", "foo")],
        &[("content-encoding", "gzip;q=1")],
        &[("content_encoding", "gzip")],
    ];
    for headers in unknown {
        let site = Site::start(move |received| response("200 OK", headers, &gzip(bearer(received).as_bytes())));
        let guarded = Guarded::new(&site, "", "");
        is_denied(&guarded.nowhere(&get(&site, "/")), "cannot decode");
        // Where nobody attaches a secret, the body is the guest's as it is.
        let plain = parse(&format!(
            "[network]\nblock = [\"non-global\"]\nallow = [\"127.0.0.1/32\"]\n[[fetch]]\nid = \"site\"\nurl = \"{}\"\nmethods = [\"GET\"]",
            site.url("/**")
        ));
        for place in Place::each() {
            let of = Run { policy: plain.clone(), ..run("fetches", &get(&site, "/").to_string()) };
            let report = outcome(place.host(), of);
            assert_eq!(report.state, State::Completed, "{headers:?}: {report:?}");
        }
    }
    let site = Site::start(|_| raw("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"));
    for report in Guarded::new(&site, "", "").nowhere(&get(&site, "/")) {
        assert_eq!(failure(&report).0, FailureKind::Returned(ErrorCode::Failed), "{report:?}");
    }
}

#[test]
fn parts_of_a_body_are_neither_asked_for_nor_taken_where_a_secret_is_attached() {
    let site = Site::start(|received| ok(&bearer(received)[..4]));
    let guarded = Guarded::new(&site, "", "");
    for name in ["Range", "range", "RANGE", "Request-Range", "request_range", "X-Range"] {
        let args = json!({ "url": site.url("/"), "headers": [[name, "bytes=7-10"]] });
        is_denied(&guarded.nowhere(&args), "part of a body");
    }
    assert_eq!(site.requests().len(), 0);
    let parts = [
        ("206 Partial Content", [("content-range", "bytes 0-3/25")].as_slice()),
        ("206 Partial Content", &[]),
        ("200 OK", &[("content-range", "bytes 0-3/25")]),
        ("200 OK", &[("Content_Range", "bytes 0-3/25")]),
        ("200 OK", &[("content-type", "Multipart/ByteRanges; boundary=x")]),
    ];
    for (status, headers) in parts {
        let site = Site::start(move |received| response(status, headers, &bearer(received).as_bytes()[7..11]));
        is_denied(&Guarded::new(&site, "", "").nowhere(&get(&site, "/")), "part of a body");
    }
}

#[test]
fn a_host_that_may_know_a_secret_gives_no_parts_under_another_rule_either() {
    let site = Site::start(|_| ok("part"));
    let elsewhere = format!("[[fetch]]\nid = \"other\"\nurl = \"{}\"\nmethods = [\"POST\"]", site.url("/stored"));
    let guarded = Guarded::new(&site, "redirects = 1", &elsewhere);
    let args = json!({ "method": "POST", "url": site.url("/stored"), "headers": [["range", "bytes=0-3"]] });
    is_denied(&guarded.nowhere(&args), "part of a body");
    assert_eq!(site.requests().len(), 0);
}

#[test]
fn a_secret_that_comes_back_over_a_connection_is_taken_out() {
    let site = Site::with(|stream| async move {
        let Ok(mut socket) = accept_async(stream).await else { return };
        let answers = [
            Message::text(format!("you are {SECRET}")),
            Message::text(STANDARD.encode(format!("xy{BARE}"))),
            Message::binary(format!("\u{0}{SECRET}").into_bytes()),
        ];
        for answer in answers {
            if socket.send(answer).await.is_err() {
                return;
            }
        }
        while let Some(Ok(_)) = socket.next().await {}
    });
    let url = format!("ws://{}/chat", site.address());
    let guarded = Guarded::new(&site, "", &format!("[[websocket]]\nid = \"chat\"\nurl = \"{url}\""));
    for place in Place::each() {
        let args = json!([url, 3]).to_string();
        let report = outcome(place.host(), Run { policy: guarded.policy.clone(), ..run("hears", &args) });
        let journal = life(async { place.host().build().unwrap().reader().journal(&id("x")).await.unwrap() });
        clean("the report", &format!("{report:?}"));
        clean("the journal", &String::from_utf8_lossy(&journal));
        assert_eq!(result(&report).matches("[secret]").count(), 2, "{report:?}");
    }
}

#[test]
fn what_has_no_secret_in_it_comes_back_as_it_was_sent() {
    let body = "{\"a\": \"50%25 \\u0041 &amp; =3D\", \"b\": \"QmVhcmVy\"}";
    let site = Site::start(move |_| {
        vec![Step::Send(
            format!("HTTP/1.1 200 OK\r\nx-a: %41\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes(),
        )]
    });
    for report in Guarded::new(&site, "", "").nowhere(&get(&site, "/")) {
        let got: Value = serde_json::from_str(result(&report)).unwrap();
        assert_eq!((&got["body"], got["headers"].to_string().contains("%41")), (&json!(body), true));
    }
}
