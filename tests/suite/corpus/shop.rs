//! The server of the programs that use `requests`. It answers alike whoever asks, and however often.

use crate::network::servers::{Received, Step, redirect, response};
use serde_json::json;

const JSON: (&str, &str) = ("Content-Type", "application/json");

pub(super) fn answer(received: &Received) -> Vec<Step> {
    let (method, target) = received.line().split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = String::from_utf8(received.body.clone()).unwrap();
    match (method, path) {
        (_, "/stations") => told(json!({ "stations": ["harbour", "airport", "closed", "hill"] })),
        (_, "/stations/closed") => response("410 Gone", &[], b"closed since March"),
        (_, "/stations/harbour") => readings(query, 11.5),
        (_, "/stations/airport") => readings(query, 14.25),
        (_, "/stations/hill") => readings(query, 3.0),
        (_, "/login") => {
            let cookies = [("Set-Cookie", "sid=ok; Path=/"), ("Set-Cookie", "theme=dark, wide; Path=/")];
            response("200 OK", &cookies, format!("welcome {body}").as_bytes())
        }
        ("GET", "/items") => items(received, query),
        ("POST", "/items") => response("201 Created", &[JSON], json!({ "body": body }).to_string().as_bytes()),
        (_, "/items") => told(json!({ "body": body })),
        (_, "/old") => response("301 Moved Permanently", &[("Location", "/text")], b""),
        (_, "/loop") => redirect(302, "/loop"),
        (_, "/broken") => response("500 Internal Server Error", &[], b""),
        (_, "/text") => response("200 OK", &[("Content-Type", "text/plain")], "grüße".as_bytes()),
        (_, "/lines") => response("200 OK", &[("Content-Type", "text/plain; charset=utf-8")], b"alpha\nbeta\ngamma\n"),
        _ => response("404 Not Found", &[], b""),
    }
}

fn told(value: serde_json::Value) -> Vec<Step> {
    response("200 OK", &[JSON], value.to_string().as_bytes())
}

fn readings(query: &str, base: f64) -> Vec<Step> {
    let values = [0.0, 2.5, -1.25, 4.0].map(|more| base + more);
    told(json!({ "unit": query.strip_prefix("unit="), "values": values }))
}

fn items(received: &Received, query: &str) -> Vec<Step> {
    let (items, next): (&[&str], _) = match query {
        "page=1" => (&["ant", "bee"], Some(2)),
        "page=2" => (&["cat"], Some(3)),
        _ => (&["dog", "eel"], None),
    };
    let one = |name: &str| received.header(name).concat();
    told(json!({
        "items": items, "next": next, "cookie": one("cookie"), "client": one("x-client"), "authorization": one("authorization"),
    }))
}
