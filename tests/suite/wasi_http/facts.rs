//! Facts of the interface that programs rely on: what each sequence of calls comes to.

use super::*;

/// Calls, and what each of them returns. `{site}` in a call is a site that answers `/text` with `four` and two cookies, and repeats any other request.
struct Fact {
    is: &'static str,
    calls: Vec<(Value, &'static str)>,
}

fn fact(is: &'static str, calls: impl IntoIterator<Item = (Value, &'static str)>) -> Fact {
    Fact { is, calls: std::iter::once((json!("forget"), "ok")).chain(calls).collect() }
}

fn set(to: &str, name: &str, values: &[&str]) -> Value {
    json!({ "set": { "to": to, "name": name, "values": values } })
}

fn append(to: &str, name: &str, value: &str) -> Value {
    json!({ "append": { "to": to, "name": name, "value": value } })
}

fn delete(from: &str, name: &str) -> Value {
    json!({ "delete": { "from": from, "name": name } })
}

fn values(from: &str, name: &str) -> Value {
    json!({ "get": { "from": from, "name": name } })
}

fn entries(of: &str) -> Value {
    json!({ "entries": of })
}

fn dropped(name: &str) -> Value {
    json!({ "drop": name })
}

fn url(path: &str) -> String {
    format!("{{site}}{path}")
}

fn facts() -> Vec<Fact> {
    [headers(), requests(), bodies(), responses()].into_iter().flatten().collect()
}

fn headers() -> Vec<Fact> {
    vec![
        fact(
            "names are kept as they are written, and compared without their case",
            [
                (fields("f", json!([["X-One", "1"], ["two", "2"], ["x-one", "3"]])), "ok"),
                (values("f", "X-ONE"), "true 1,3"),
                (values("f", "three"), "false "),
                (values("f", "no name"), "false "),
                (entries("f"), "X-One=1,two=2,x-one=3"),
                (set("f", "x-ONE", &["4", "5"]), "ok"),
                (entries("f"), "two=2,x-ONE=4,x-ONE=5"),
                (delete("f", "TWO"), "ok"),
                (delete("f", "two"), "ok"),
                (set("f", "x-one", &[]), "ok"),
                (entries("f"), ""),
            ],
        ),
        fact(
            "what is no name or value is refused, and so is what only the host sets",
            [
                (fields("f", json!([])), "ok"),
                (append("f", "no name", "1"), "HeaderError::InvalidSyntax"),
                (append("f", "x", "1\r\nhost: y"), "HeaderError::InvalidSyntax"),
                (append("f", "Content-Length", "four"), "HeaderError::InvalidSyntax"),
                (set("f", "x", &["1", "\n"]), "HeaderError::InvalidSyntax"),
                (delete("f", "é"), "HeaderError::InvalidSyntax"),
                (append("f", "transfer-encoding", "chunked"), "HeaderError::Forbidden"),
                (append("f", "Upgrade", "websocket"), "HeaderError::Forbidden"),
                (append("f", "content_length", "4"), "HeaderError::Forbidden"),
                (set("f", "proxy-authorization", &["x"]), "HeaderError::Forbidden"),
                (fields("g", json!([["x", "1"], ["expect", "100-continue"]])), "HeaderError::Forbidden"),
                (append("f", "x", ""), "ok"),
                (entries("f"), "x="),
            ],
        ),
        fact(
            "a copy is a copy",
            [
                (fields("f", json!([["x", "1"]])), "ok"),
                (of("copy", "g", "f"), "ok"),
                (append("g", "x", "2"), "ok"),
                (entries("f"), "x=1"),
                (entries("g"), "x=1,x=2"),
            ],
        ),
        fact(
            "the headers of a request cannot be changed, and a copy of them can",
            [
                (fields("h", json!([["x", "1"]])), "ok"),
                (request("r", "GET", &url("/")), "ok"),
                (of("headers", "g", "r"), "ok"),
                (append("g", "x", "2"), "HeaderError::Immutable"),
                (set("g", "x", &[]), "HeaderError::Immutable"),
                (delete("g", "x"), "HeaderError::Immutable"),
                (of("copy", "c", "g"), "ok"),
                (append("c", "x", "2"), "ok"),
                (entries("g"), "x=1"),
            ],
        ),
    ]
}

fn requests() -> Vec<Fact> {
    vec![
        fact(
            "the parts of a request have to be well formed",
            [
                (fields("h", json!([])), "ok"),
                (request("r", "GE T", &url("/")), "method"),
                (fields("h", json!([])), "ok"),
                (request("r", "GET", &url("/a b")), "path"),
                (fields("h", json!([])), "ok"),
                (request("r", "GET", &url("/#f")), "path"),
                (fields("h", json!([])), "ok"),
                (request("r", "PROPFIND", "http://a b/"), "authority"),
                (fields("h", json!([])), "ok"),
                (request("r", "GET", &url("/")), "ok"),
                (json!({ "scheme": { "of": "r", "other": "ft p" } }), "()"),
                (json!({ "authority": { "of": "r", "text": "a/b" } }), "()"),
                (json!({ "path": { "of": "r", "text": "no/slash" } }), "()"),
                (json!({ "scheme": { "of": "r", "other": "ftp" } }), "ok"),
                (handle("f", "r"), "ErrorCode::HttpRequestUriInvalid"),
            ],
        ),
        fact(
            "a request with a method or a URL that nobody may use is refused",
            [
                (fields("h", json!([])), "ok"),
                (request("r", "get", &url("/")), "ok"),
                (handle("f", "r"), "ErrorCode::HttpRequestMethodInvalid"),
                (fields("h", json!([])), "ok"),
                (request("r", "CONNECT", &url("/")), "ok"),
                (handle("f", "r"), "ErrorCode::HttpRequestMethodInvalid"),
                (fields("h", json!([])), "ok"),
                (request("r", "GET", "http://ada:pw@127.0.0.1/"), "ok"),
                (handle("f", "r"), "ErrorCode::HttpRequestUriInvalid"),
            ],
        ),
        fact(
            "headers that clients set by themselves are not sent, and one that names another host is an error",
            [
                (
                    fields(
                        "h",
                        json!([["Accept-Encoding", "br"], ["connection", "close"], ["TE", "trailers"], ["x", "é"]]),
                    ),
                    "ok",
                ),
                (request("r", "GET", &url("/echo")), "ok"),
                (handle("f", "r"), "ok"),
                (subscribe("p", "f"), "ok"),
                (json!({ "block": "p" }), "ok"),
                (of("response", "a", "f"), "ok"),
                (of("body", "b", "a"), "ok"),
                (of("stream", "s", "b"), "ok"),
                (
                    read("s", 1000),
                    "GET /echo\nx: é\naccept: */*\nuser-agent: everstep\naccept-encoding: gzip, br, zstd, deflate\n",
                ),
                (fields("h", json!([["host", "example.org"]])), "ok"),
                (request("r", "GET", &url("/")), "ok"),
                (
                    handle("g", "r"),
                    "ErrorCode::InternalError(Some(\"the header host names another host than the URL\"))",
                ),
            ],
        ),
    ]
}

fn bodies() -> Vec<Fact> {
    let begun = |headers: Value| {
        [
            (fields("h", headers), "ok"),
            (request("r", "POST", &url("/echo")), "ok"),
            (of("body", "b", "r"), "ok"),
            (of("body", "c", "r"), "taken"),
            (of("stream", "s", "b"), "ok"),
            (of("stream", "t", "b"), "taken"),
        ]
    };
    let sent = [
        (dropped("s"), "ok"),
        (finish("b"), "ok"),
        (handle("f", "r"), "ok"),
        (subscribe("p", "f"), "ok"),
        (json!({ "block": "p" }), "ok"),
        (of("response", "a", "f"), "ok"),
        (json!({ "status": "a" }), "200"),
    ];
    let short = [(write("s", "four"), "ok"), (dropped("s"), "ok")];
    vec![
        fact(
            "a body may be finished before its request is handled",
            begun(json!([["content-length", "8"]]))
                .into_iter()
                .chain([(write("s", "four"), "ok"), (write("s", "four"), "ok")])
                .chain(sent),
        ),
        fact(
            "a body that is shorter than announced is an error of its request, too",
            begun(json!([["Content-Length", "8"]])).into_iter().chain(short.clone()).chain([
                (handle("f", "r"), "ok"),
                (of("response", "a", "f"), "pending"),
                (finish("b"), "ErrorCode::HttpRequestBodySize(Some(4))"),
                (subscribe("p", "f"), "ok"),
                (json!({ "ready": "p" }), "true"),
                (of("response", "a", "f"), "ErrorCode::HttpRequestBodySize(Some(4))"),
                (of("response", "a", "f"), "taken"),
            ]),
        ),
        fact(
            "a body that is longer than announced ends its stream",
            begun(json!([["content-length", "3"]])).into_iter().chain([
                (write("s", "four"), "failed Some(ErrorCode::HttpRequestBodySize(Some(4)))"),
                (write("s", "x"), "closed"),
                (dropped("s"), "ok"),
                (finish("b"), "ErrorCode::HttpRequestBodySize(Some(4))"),
                (handle("f", "r"), "ErrorCode::HttpRequestBodySize(Some(4))"),
            ]),
        ),
        fact(
            "a length without a body is an error",
            [
                (fields("h", json!([["content-length", "4"]])), "ok"),
                (request("r", "POST", &url("/echo")), "ok"),
                (handle("f", "r"), "ErrorCode::HttpRequestBodySize(Some(0))"),
            ],
        ),
        fact(
            "a body that is dropped cuts its request",
            begun(json!([])).into_iter().chain(short.clone()).chain([
                (handle("f", "r"), "ok"),
                (dropped("b"), "ok"),
                (
                    of("response", "a", "f"),
                    "ErrorCode::InternalError(Some(\"the body was dropped before it was finished\"))",
                ),
            ]),
        ),
        fact(
            "no trailers are trailers, and others are refused",
            begun(json!([])).into_iter().chain(short).chain([
                (fields("t", json!([["x", "1"]])), "ok"),
                (
                    json!({ "finish": { "body": "b", "trailers": "t" } }),
                    "ErrorCode::InternalError(Some(\"this host sends no trailers\"))",
                ),
                (fields("h", json!([])), "ok"),
                (request("r", "POST", &url("/echo")), "ok"),
                (of("body", "b", "r"), "ok"),
                (fields("t", json!([])), "ok"),
                (json!({ "finish": { "body": "b", "trailers": "t" } }), "ok"),
            ]),
        ),
    ]
}

fn responses() -> Vec<Fact> {
    vec![
        fact(
            "a response and its body are taken once, and the end of a body is told again and again",
            [
                (fields("h", json!([])), "ok"),
                (request("r", "GET", &url("/text")), "ok"),
                (handle("f", "r"), "ok"),
                (of("response", "a", "f"), "pending"),
                (subscribe("p", "f"), "ok"),
                (json!({ "ready": "p" }), "false"),
                (json!({ "block": "p" }), "ok"),
                (json!({ "ready": "p" }), "true"),
                (of("response", "a", "f"), "ok"),
                (of("response", "z", "f"), "taken"),
                (json!({ "ready": "p" }), "true"),
                (json!({ "status": "a" }), "200"),
                (of("headers", "g", "a"), "ok"),
                (values("g", "Set-Cookie"), "true a=1,b=2"),
                (values("g", "content-length"), "true 4"),
                (append("g", "x", "1"), "HeaderError::Immutable"),
                (of("body", "b", "a"), "ok"),
                (of("body", "z", "a"), "taken"),
                (of("stream", "s", "b"), "ok"),
                (of("stream", "z", "b"), "taken"),
                (subscribe("q", "s"), "ok"),
                (json!({ "ready": "q" }), "true"),
                (read("s", 3), "fou"),
                (read("s", 0), ""),
                (read("s", 3), "r"),
                (read("s", 3), "closed"),
                (read("s", 3), "closed"),
                (dropped("q"), "ok"),
                (dropped("s"), "ok"),
                (of("trailers", "t", "b"), "ok"),
                (subscribe("q", "t"), "ok"),
                (json!({ "ready": "q" }), "true"),
                (json!({ "trailers-of": "t" }), "false"),
                (json!({ "trailers-of": "t" }), "taken"),
            ],
        ),
        fact(
            "a guest may make up a response, which nobody takes",
            [
                (fields("f", json!([["content-length", "4"]])), "ok"),
                (of("headers", "a", "f"), "ok"),
                (json!({ "set-status": { "of": "a", "status": 418 } }), "ok"),
                (json!({ "set-status": { "of": "a", "status": 9 } }), "()"),
                (of("body", "b", "a"), "ok"),
                (of("body", "z", "a"), "taken"),
                (of("stream", "s", "b"), "ok"),
                (write("s", "four"), "ok"),
                (dropped("s"), "ok"),
                (finish("b"), "ok"),
            ],
        ),
    ]
}

/// Repeats the request, without what differs between runs.
fn echo(received: &Received) -> Vec<Step> {
    let lines = received.head.lines().skip(1).filter(|line| !line.is_empty() && !line.starts_with("host: "));
    let told: String = lines.map(|line| format!("{line}\n")).collect();
    ok(&format!("{}\n{}", received.line(), told.replace(concat!("/", env!("CARGO_PKG_VERSION"), "\n"), "\n")))
}

#[test]
fn programs_can_rely_on_the_facts_of_the_interface() {
    let site = Site::start(|received| match received.line() {
        "GET /text" => response("200 OK", &[("Set-Cookie", "a=1"), ("set-cookie", "b=2")], b"four"),
        _ => echo(received),
    });
    let facts = facts();
    for place in Place::each() {
        // All of them are calls of one execution, so that each meets what the others have left.
        let calls: Vec<Value> = facts.iter().flat_map(|fact| fact.calls.iter().map(|(call, _)| call.clone())).collect();
        let calls = json!(calls).to_string().replace("{site}", &site.url(""));
        let mut told = told(&place, &parse(&on(&site, "")), serde_json::from_str(&calls).unwrap()).into_iter();
        for Fact { is, calls } in &facts {
            for (call, expected) in calls {
                assert_eq!(told.next().as_deref(), Some(*expected), "{place}: {is}: {call}");
            }
        }
    }
}

#[test]
fn what_belongs_to_another_is_dropped_first() {
    let site = Site::start(|_| ok("fine"));
    let request = [fields("h", json!([])), request("r", "POST", &site.url("/"))];
    let cases: [&[Value]; 5] = [
        &[of("headers", "g", "r"), dropped("r")],
        &[of("headers", "g", "r"), handle("f", "r")],
        &[of("body", "b", "r"), of("stream", "s", "b"), dropped("b")],
        &[of("body", "b", "r"), of("stream", "s", "b"), finish("b")],
        &[handle("f", "r"), subscribe("p", "f"), dropped("f")],
    ];
    for place in Place::each() {
        for calls in cases {
            let place = place.another();
            place.equip(&GUEST);
            let calls = json!([&request[..], calls].concat());
            let report = outcome(place.host(), script(&parse(&on(&site, "")), &calls));
            let (kind, message) = failure(&report);
            assert_eq!((report.state, kind), (State::Halted, FailureKind::Trap), "{place}: {calls}");
            assert!(message.contains("child"), "{message}");
        }
    }
}
