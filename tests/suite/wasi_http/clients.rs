//! Client libraries as they come from crates.io.

use super::*;
use crate::support::Shown;
use everstep::PROGRAM;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

pub(super) static CLIENTS: LazyLock<Component> = LazyLock::new(|| guests::fixture("clients").unwrap().into());

pub(super) fn client(policy: &Policy, args: &[&str]) -> Run {
    let args = json!([&["clients"], args].concat()).to_string();
    Run::new(CLIENTS.clone(), PROGRAM, args, policy.clone()).with_id(id("x"))
}

/// What a client prints.
fn printed(place: &Place, policy: &Policy, args: &[&str]) -> Vec<String> {
    let place = place.another();
    place.equip(&CLIENTS);
    let shown = Shown::default();
    let report = outcome(place.host().on_output(shown.sink()), client(policy, args));
    let text = shown.lines().concat();
    assert_eq!(result(&report), "null", "{text}");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn clients_read_and_write_as_they_would_elsewhere() {
    let site = Site::start(|received| match received.line() {
        "GET /a?b=c" => response("404 Not Found", &[("set-cookie", "a=1"), ("set-cookie", "b=2")], b"nothing\nhere"),
        _ => ok(&format!("{} {:?}", String::from_utf8_lossy(&received.body), received.header("content-type"))),
    });
    let policy = parse(&on(&site, ""));
    for place in Place::each() {
        let read = printed(&place, &policy, &["wstd", "get", &site.url("/a?b=c")]);
        let expected = ["404 Not Found", "cookies [\"a=1\", \"b=2\"]", "location None", "nothing", "here"];
        assert_eq!(read, expected, "{place}");
        let read = printed(&place, &policy, &["waki", "get", &site.url("/a?b=c")]);
        assert_eq!(read, ["404", "cookies Some(Ok(\"a=1\"))", "nothing", "here"], "{place}");
        let long = "x".repeat(100_000);
        let sent = printed(&place, &policy, &["wstd", "post", &site.url("/"), "one ", "two ", &long]);
        assert_eq!(sent, ["200 OK", &format!("one two {long} [\"text/plain\"]")], "{place}");
        let sent = printed(&place, &policy, &["waki", "post", &site.url("/"), "body"]);
        assert_eq!(sent, ["200", "cookies None", "body []"], "{place}");
    }
    let gets: Vec<Received> = site.requests().into_iter().filter(|one| one.line().starts_with("GET")).collect();
    assert!(gets.iter().all(|one| one.header("x-is") == ["1"]), "{gets:?}");
    assert!(gets.iter().all(|one| one.header("accept-encoding") == ["gzip, br, zstd, deflate"]));
}

#[test]
fn a_client_decides_on_redirects_itself() {
    let site = Site::start(|_| redirect(302, "/elsewhere"));
    // The rule would let the host follow them.
    let policy = parse(&on(&site, "redirects = 5"));
    for place in Place::each() {
        let before = site.requests().len();
        let read = printed(&place, &policy, &["wstd", "get", &site.url("/")]);
        assert_eq!(read, ["302 Found", "cookies []", "location Some(\"/elsewhere\")", ""], "{place}");
        assert_eq!(site.requests().len() - before, 1);
    }
}

/// How many requests a client makes at once.
const RACERS: u32 = 12;

/// Answers `/race/N` once all of them are there, the last one first, and each only when the client has said that it has read the one before.
fn last_one_first() -> Site {
    let there = Arc::new(Mutex::new(BTreeSet::new()));
    let (turn, _) = watch::channel(None::<u32>);
    Site::with(move |stream| answer(stream, Arc::clone(&there), turn.clone()))
}

async fn answer(mut stream: TcpStream, there: Arc<Mutex<BTreeSet<u32>>>, turn: watch::Sender<Option<u32>>) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap();
        let (what, number) = path[1..].split_once('/').unwrap();
        let number: u32 = number.parse().unwrap();
        if what == "race" {
            let are_all_there = {
                let mut there = there.lock().unwrap();
                there.insert(number);
                there.len() == RACERS as usize
            };
            let mut seen = turn.subscribe();
            if are_all_there {
                turn.send_replace(Some(RACERS - 1));
            }
            seen.wait_for(|turn| *turn == Some(number)).await.unwrap();
        } else {
            turn.send_replace(number.checked_sub(1));
        }
        let body = number.to_string();
        let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[test]
fn of_many_requests_the_first_that_is_answered_is_read_first() {
    for place in Place::each() {
        let site = last_one_first();
        let policy = parse(&on(&site, "concurrent = 50"));
        place.equip(&CLIENTS);
        let race = client(&policy, &["wstd", "race", &site.url(""), &RACERS.to_string()]);
        let report = outcome(place.host(), race);
        assert_eq!(result(&report), "null");
        // It is gone, and a replay does not miss it.
        drop(site);
        let (output, replayed) = life(async {
            let host = place.host().build().unwrap();
            let output = host.reader().output(&id("x")).await.unwrap();
            (output, host.replay(&id("x"), None, None).await.unwrap())
        });
        let read: String = output.iter().map(crate::support::text).collect();
        let expected: Vec<String> = (0..RACERS).rev().map(|number| number.to_string()).collect();
        assert_eq!(read.lines().collect::<Vec<_>>(), expected, "{place}");
        assert_eq!(replayed.end, everstep::ReplayEnd::Repeated, "{place}");
    }
}
