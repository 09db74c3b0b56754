//! Guests that ask for too much, or for what is not there: each ends by itself, with the reason, and the host lives.

use super::*;
use everstep::store::Failure;

/// A policy with little memory.
fn small(site: &Site, more: &str) -> Policy {
    parse(&format!("[limits]\nmemory = \"64MiB\"\n{}", on(site, more)))
}

/// Runs a script that ends the guest, and then one that does not, on the same host.
fn ended(place: &Place, policy: &Policy, site: &Site, calls: &Value) -> (State, Failure) {
    let place = place.another();
    place.equip(&GUEST);
    let (report, after) = life(async {
        let host = place.host().build().unwrap();
        let report = host.run(script(policy, calls)).await.unwrap();
        (report, host.run(script(policy, &json!([fetch(&site.url("/"))])).with_id(id("y"))).await.unwrap())
    });
    assert_eq!(outcomes(&after), ["200 fine"]);
    (report.state, report.error.unwrap_or_else(|| panic!("{calls} did not end {:?}", report.result)))
}

#[test]
fn a_guest_that_leaks_handles_ends_at_their_number() {
    let site = Site::start(|_| ok("fine"));
    for place in Place::each() {
        for what in ["fields", "requests"] {
            let leak = json!([{ "leak": { "what": what, "count": 1_000_000, "bytes": 0 } }]);
            let (state, failure) = ended(&place, &small(&site, ""), &site, &leak);
            assert_eq!((state, failure.kind), (State::Halted, FailureKind::Trap), "{failure:?}");
            assert!(failure.message.contains("resource table"), "{failure:?}");
        }
    }
}

#[test]
fn fields_without_end_end_early() {
    let site = Site::start(|_| ok("fine"));
    for place in Place::each() {
        let told = told(&place, &parse(&on(&site, "")), json!([{ "many": 1_000_000 }, fetch(&site.url("/"))]));
        assert_eq!(told, ["HeaderError::Forbidden, 1000", "200 fine"]);
    }
}

/// How many a guest could keep, and what it was told then.
fn kept(told: &str) -> (u64, &str) {
    let (count, rest) = told.split_once(' ').unwrap();
    (count.parse().unwrap(), rest)
}

#[test]
fn what_requests_keep_counts_against_the_memory_of_the_guest() {
    let site = Site::start(|_| ok("fine"));
    const KIB: u64 = 1 << 10;
    for place in Place::each() {
        let policy = small(&site, "max_request = \"1MiB\"");
        let leak = |what: &str, bytes: u64| json!({ "leak": { "what": what, "count": 9_000, "bytes": bytes } });
        let headers = told(&place, &policy, json!([leak("headers", 100 * KIB)]));
        let (count, why) = kept(&headers[0]);
        assert!((300..=655).contains(&count) && why == "HeaderError::Forbidden", "{headers:?}");
        let bodies = told(&place, &policy, json!([leak("bodies", 1000 * KIB)]));
        let (count, why) = kept(&bodies[0]);
        assert!((30..=65).contains(&count) && why.contains("limits.memory"), "{bodies:?}");
        let half = json!({ "leak": { "what": "bodies", "count": 32, "bytes": 1000 * KIB } });
        let (_, failure) = ended(&place, &policy, &site, &json!([half, { "grow": 40 * KIB * KIB }]));
        assert!(failure.message.contains("limits.memory"), "{failure:?}");
        let fits = told(&place, &policy, json!([{ "grow": 40 * KIB * KIB }]));
        assert_eq!(fits, ["ok"], "without the bodies");
    }
}

#[test]
fn a_body_without_end_ends_at_the_largest_that_a_rule_allows() {
    let site = Site::start(|_| ok("fine"));
    for place in Place::each() {
        let calls = json!([
            fields("h", json!([])),
            request("r", "POST", &site.url("/")),
            of("body", "b", "r"),
            of("stream", "s", "b"),
            { "fill": { "to": "s", "bytes": 1_u64 << 40 } },
            { "fill": { "to": "s", "bytes": 1 } },
        ]);
        let told = told(&place, &small(&site, "max_request = \"100KiB\""), calls);
        let most = 100 << 10;
        let code = format!("ErrorCode::HttpRequestBodySize(Some({most}))");
        assert_eq!(told[4..], [format!("{most} failed Some({code})"), "0 closed".to_owned()]);
    }
    assert_eq!(site.connections(), 0);
}

#[test]
fn a_guest_that_waits_for_ever_is_ended() {
    let site = Site::start(|received| if received.line() == "GET /never" { vec![Step::Stall] } else { ok("fine") });
    for place in Place::each() {
        let policy = parse(&format!("[limits]\ncpu = \"200ms\"\n{}", on(&site, "")));
        let sent =
            [fields("h", json!([])), request("r", "GET", &site.url("/never")), handle("f", "r"), subscribe("p", "f")];
        let spin = json!([&sent[..], &[json!({ "spin": "p" })]].concat());
        let (_, failure) = ended(&place, &policy, &site, &spin);
        assert_eq!(failure.kind, FailureKind::Limit, "{failure:?}");
        assert!(failure.message.contains("limits.cpu"), "{failure:?}");
        let itself = json!([
            fields("h", json!([])),
            request("r", "POST", &site.url("/")),
            of("body", "b", "r"),
            handle("f", "r"),
            subscribe("p", "f"),
            { "ready": "p" },
            { "poll": ["p", "p"] },
        ]);
        let (_, failure) = ended(&place, &policy, &site, &itself);
        assert_eq!(failure.kind, FailureKind::Trap, "{failure:?}");
        assert!(failure.message.contains("whose body it has not finished"), "{failure:?}");
    }
}

#[test]
fn a_body_that_is_finished_twice_ends_the_guest() {
    let site = Site::start(|_| ok("fine"));
    for place in Place::each() {
        let calls = json!([
            fields("h", json!([])),
            request("r", "POST", &site.url("/")),
            of("body", "b", "r"),
            { "finish-twice": "b" },
        ]);
        let (_, failure) = ended(&place, &small(&site, ""), &site, &calls);
        assert_eq!(failure.kind, FailureKind::Trap, "{failure:?}");
    }
    assert!(site.requests().iter().all(|one| one.line() == "GET /"));
}
