//! What a policy says about requests: denials, bounds, secrets, questions, redirects.

use super::*;
use everstep::store::PendingPromise;
use everstep::{Answer, Patience};

#[test]
fn what_is_denied_has_its_words_and_reaches_nobody() {
    let site = Site::start(|_| ok("no"));
    let granted = on(&site, "");
    let blocked = granted.replace("allow = [\"127.0.0.1/32\"]\n", "");
    let elsewhere = granted.replace("/**\"", "/public/**\"");
    let cases = [
        (BASICS.to_owned(), "HttpRequestDenied", "no rule"),
        (elsewhere, "HttpRequestDenied", "another path"),
        (granted.replace("\"GET\", \"POST\"", "\"HEAD\""), "HttpRequestDenied", "another method"),
        (blocked, "DestinationIpProhibited", "a private address"),
        (on(&site, "max_calls = 0"), "HttpRequestDenied", "no calls"),
    ];
    for place in Place::each() {
        for (policy, code, why) in &cases {
            let calls = json!([fetch(&site.url("/private")), post(&site.url("/private"), 3)]);
            let told = told(&place, &parse(policy), calls);
            assert_eq!(told[0], format!("ErrorCode::{code}"), "{place}: {why}");
            assert_eq!(told[1], format!("ok, ok, ErrorCode::{code}"), "{place}: {why}");
        }
    }
    assert_eq!(site.connections(), 0);
}

#[test]
fn the_bounds_of_a_rule_hold() {
    let site = Site::start(|received| match received.line() {
        "GET /large" => response("200 OK", &[], &[b'x'; 1001]),
        "GET /slow" => vec![Step::Stall],
        _ => ok(&received.body.len().to_string()),
    });
    for place in Place::each() {
        let told = |more: &str, calls: Value| told(&place, &parse(&on(&site, more)), calls);
        let (large, slow, any) = (site.url("/large"), site.url("/slow"), site.url("/"));
        assert_eq!(told("max_response = \"1000B\"", json!([fetch(&large)])), ["ErrorCode::HttpResponseBodySize(None)"]);
        assert_eq!(told("timeout = \"1s\"", json!([fetch(&slow)])), ["ErrorCode::HttpResponseTimeout"]);
        let sent = told("max_request = \"1000B\"", json!([post(&any, 1000), post(&any, 1001)]));
        assert_eq!(sent[0], "ok, ok, 200 1000");
        let code = "ErrorCode::HttpRequestBodySize(Some(1000))";
        assert_eq!(sent[1], format!("failed Some({code}), {code}, {code}"));
        let quota = told("max_calls = 2", json!([fetch(&any), fetch(&any), fetch(&any)]));
        assert_eq!(quota, ["200 0", "200 0", "ErrorCode::HttpRequestDenied"]);
    }
}

#[test]
fn what_is_given_up_makes_room_for_another_at_once() {
    let site = Site::start(|received| if received.line() == "GET /never" { vec![Step::Stall] } else { ok("fine") });
    let sent = |new: &str| [fields("h", json!([])), request("r", "GET", &site.url("/never")), handle(new, "r")];
    for place in Place::each() {
        let more = [json!({ "drop": "f" }), fetch(&site.url("/"))];
        let calls = json!([&sent("f")[..], &sent("g"), &more].concat());
        let told = told(&place, &parse(&on(&site, "concurrent = 1")), calls);
        assert_eq!(told[2..], ["ok", "ok", "ok", "ErrorCode::ConnectionLimitReached", "ok", "200 fine"], "{place}");
    }
}

#[test]
fn a_body_of_another_rule_is_measured_by_its_own() {
    let site = Site::start(|received| ok(&received.body.len().to_string()));
    let rules = format!(
        "{BASICS}[[fetch]]\nid = \"small\"\nurl = \"{}\"\nmethods = [\"POST\"]\nmax_request = \"10B\"\n\
         [[fetch]]\nid = \"large\"\nurl = \"{}\"\nmethods = [\"POST\"]\nmax_request = \"100B\"\n",
        site.url("/small"),
        site.url("/large")
    );
    for place in Place::each() {
        let calls =
            json!([post(&site.url("/large"), 100), post(&site.url("/small"), 11), post(&site.url("/small"), 10)]);
        let told = told(&place, &parse(&rules), calls);
        assert_eq!(told, ["ok, ok, 200 100", "ok, ok, ErrorCode::HttpRequestBodySize(None)", "ok, ok, 200 10"]);
    }
}

#[test]
fn the_timeouts_of_a_guest_are_kept() {
    let site = Site::start(|received| match received.line() {
        "GET /silent" => vec![Step::Stall],
        "GET /half" => vec![Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nfour".to_vec()), Step::Stall],
        _ => ok("fine"),
    });
    let get = |path: &str, options: Value| {
        let options = json!({ "options": options });
        json!([
            fields("h", json!([])),
            request("r", "GET", &site.url(path)),
            options,
            { "handle": { "new": "f", "request": "r", "options": "o" } },
            subscribe("p", "f"),
            { "block": "p" },
            of("response", "a", "f"),
        ])
    };
    for place in Place::each() {
        let last = |calls: Value| told(&place, &parse(&on(&site, "")), calls).pop().unwrap();
        assert_eq!(last(get("/silent", json!({ "new": "o", "first-byte": 50 }))), "ErrorCode::HttpResponseTimeout");
        assert_eq!(last(get("/half", json!({ "new": "o", "between-bytes": 50 }))), "ErrorCode::ConnectionReadTimeout");
        let ample = json!({ "new": "o", "connect": 60_000, "first-byte": 60_000, "between-bytes": 60_000 });
        assert_eq!(last(get("/", ample)), "ok");
    }
}

#[test]
fn a_connection_that_fails_has_the_word_for_it() {
    let gone = Site::start(|_| vec![Step::Close]);
    let policy = on(&gone, "");
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let policy = format!("{policy}[[fetch]]\nid = \"unused\"\nurl = \"http://{unused}/**\"\nmethods = [\"GET\"]\n");
    // A host whose name is a word of other messages.
    let named = format!("http://certificate.localhost:{}/", gone.port());
    let policy = format!("{policy}[[fetch]]\nid = \"named\"\nurl = \"{named}**\"\nmethods = [\"GET\"]\n");
    for place in Place::each() {
        let calls = json!([fetch(&gone.url("/")), fetch(&format!("http://{unused}/")), fetch(&named)]);
        let expected = ["ConnectionTerminated", "ConnectionRefused", "ConnectionTerminated"];
        assert_eq!(told(&place, &parse(&policy), calls), expected.map(|word| format!("ErrorCode::{word}")), "{place}");
    }
}

#[test]
fn a_redirect_is_the_guests_and_its_target_decided_like_any_other() {
    let other = Site::start(|_| ok("reached"));
    let away = other.url("/there");
    let to = away.clone();
    let site = Site::start(move |_| redirect(307, &to));
    let narrow = on(&site, "redirects = 5");
    let wide = format!("{narrow}[[fetch]]\nid = \"other\"\nurl = \"{}\"\nmethods = [\"GET\"]\n", other.url("/**"));
    for place in Place::each() {
        let calls = json!([fetch(&site.url("/")), fetch(&away)]);
        let seen = format!("307 {away}");
        assert_eq!(told(&place, &parse(&narrow), calls.clone()), [&seen, "ErrorCode::HttpRequestDenied"]);
        let before = other.requests().len();
        assert_eq!(told(&place, &parse(&wide), calls), [&seen, "200 reached"]);
        assert_eq!(other.requests().len() - before, 1);
    }
}

#[test]
fn a_secret_reaches_the_server_and_neither_the_guest_nor_the_journal() {
    for sandbox in Sandbox::each() {
        let site = Site::start(|received| {
            let token = received.header("authorization").concat();
            response("200 OK", &[("x-echo", &token)], token.as_bytes())
        });
        std::fs::write(sandbox.path("token"), "Bearer s3cret-t0ken-value\n").unwrap();
        let secret = "secret = { header = \"authorization\", from = \"file:token\" }";
        let policy = sandbox.policy(&format!("{}[audit]\nfile = \"audit.jsonl\"\n", on(&site, secret))).unwrap();
        sandbox.place().equip(&GUEST);
        let calls = json!([
            fields("h", json!([["authorization", "the guest's own"]])),
            request("r", "GET", &site.url("/")),
            handle("f", "r"),
            subscribe("p", "f"),
            { "block": "p" },
            of("response", "a", "f"),
            of("headers", "g", "a"),
            { "entries": "g" },
            of("body", "b", "a"),
            of("stream", "s", "b"),
            read("s", 1000),
        ]);
        let (report, journal) = life(async {
            let host = sandbox.host().unwrap();
            let report = host.run(script(&policy, &calls)).await.unwrap();
            (report, host.reader().journal(&id("x")).await.unwrap())
        });
        let told = outcomes(&report);
        assert_eq!(site.requests()[0].header("authorization"), ["Bearer s3cret-t0ken-value"]);
        let audit = std::fs::read_to_string(sandbox.path("audit.jsonl")).unwrap();
        for text in [told.join(" "), String::from_utf8_lossy(&journal).into_owned(), audit] {
            assert!(!text.contains("s3cret") && !text.contains("czNjcmV0"), "{text}");
        }
        assert!(told[7].contains("x-echo") && !told[10].is_empty(), "{told:?}");
    }
}

/// One that takes a request and the place for its answer.
const SERVER: &str = r#"(component
    (import "wasi:http/types@0.2.0" (instance $types
        (export "incoming-request" (type (sub resource)))
        (export "response-outparam" (type (sub resource)))))
    (alias export $types "incoming-request" (type $request))
    (alias export $types "response-outparam" (type $answer))
    (core module $m (func (export "f") (param i32 i32)))
    (core instance $c (instantiate $m))
    (func $f (param "request" (own $request)) (param "response-out" (own $answer)) (canon lift (core func $c "f")))
    (instance $i (export "handle" (func $f)))
    (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#;

#[test]
fn a_component_that_answers_requests_is_not_run() {
    let server: Component = wat::parse_str(SERVER).unwrap().into();
    for place in Place::each() {
        place.equip(&server);
        for (function, says) in [(everstep::PROGRAM, "the component answers HTTP requests"), ("handle", "a resource")] {
            let run = Run::new(server.clone(), function, "null", parse(BASICS));
            let error = life(async { place.host().build().unwrap().run(run).await.unwrap_err() });
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}

fn questions(sandbox: &Sandbox) -> Vec<PendingPromise> {
    life(async { sandbox.host().unwrap().reader().promises().await.unwrap() })
}

#[test]
fn a_request_that_a_person_has_to_approve_waits_on_any_host() {
    for (approved, expected) in [(true, "ok, ok, 200 sent"), (false, "ok, ok, ErrorCode::HttpRequestDenied")] {
        for sandbox in Sandbox::each() {
            let site = Site::start(|_| ok("sent"));
            let ask =
                format!("{BASICS}[[ask]]\nwhen = \"fetch\"\nmethods = [\"POST\"]\nurl = \"{}\"\n", site.url("/**"));
            let policy = sandbox.policy(&ask).unwrap();
            sandbox.place().equip(&GUEST);
            let calls = json!([post(&site.url("/"), 5)]);
            let report = life(async {
                let host = sandbox.host().unwrap();
                let run = Run { patience: Patience::None, ..script(&policy, &calls) };
                host.run(run).await.unwrap()
            });
            assert_eq!((report.state, site.connections()), (State::Suspended, 0), "{report:?}");
            let asked = questions(&sandbox).remove(0);
            let answer = Answer { approved, by: Some("ada".to_owned()), reason: None };
            let report = life(async {
                let host = sandbox.host().unwrap();
                host.settle(&asked.id, Ok(serde_json::to_string(&answer).unwrap())).await.unwrap();
                host.resume(&id("x"), Patience::None).await.unwrap().wait().await.unwrap()
            });
            assert_eq!(outcomes(&report), [expected]);
            assert_eq!(site.requests().len(), usize::from(approved));
        }
    }
}

#[test]
fn a_request_that_is_dropped_withdraws_the_question_about_it() {
    for sandbox in Sandbox::each() {
        let site = Site::start(|_| ok("sent"));
        let ask = format!("{BASICS}[[ask]]\nwhen = \"fetch\"\nmethods = [\"GET\"]\nurl = \"{}\"\n", site.url("/**"));
        let policy = sandbox.policy(&ask).unwrap();
        sandbox.place().equip(&GUEST);
        let calls =
            json!([fields("h", json!([])), request("r", "GET", &site.url("/")), handle("f", "r"), { "drop": "f" }]);
        let report = life(async { sandbox.host().unwrap().run(script(&policy, &calls)).await.unwrap() });
        assert_eq!(outcomes(&report), ["ok", "ok", "ok", "ok"]);
        assert!(questions(&sandbox).is_empty() && site.connections() == 0);
    }
}
