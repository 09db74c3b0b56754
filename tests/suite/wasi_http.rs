//! Requests of WASI guests, by `wasi:http`: what a program sees of the addresses that its policy grants, what survives, and what is refused.
//!
//! `facts` is what programs rely on, `clients` uses libraries as they come from crates.io, `rules` is what a policy says, `tls` is about certificates,
//! `changed` about programs that ask otherwise when they are resumed, `attacks` is what must fail cleanly, `killed` ends hosts by signal and fails
//! commits.

mod attacks;
mod changed;
mod clients;
mod facts;
mod killed;
mod rules;
mod tls;

use crate::network::servers::{Received, Step, ok, redirect, response};
use crate::site::Site;
use crate::support::{Place, failure, id, life, outcome, result};
use everstep::store::{FailureKind, State};
use everstep::{Component, Policy, Report, Run};
use everstep_tests::guests;
use everstep_tests::sandbox::Sandbox;
use serde_json::{Value, json};
use std::sync::LazyLock;

static GUEST: LazyLock<Component> = LazyLock::new(|| guests::fixture("requests").unwrap().into());

/// What a guest needs beside requests, and the address of the sites of this suite.
const BASICS: &str = "[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n[[capability]]\nname = \"print\"\n\
                      [network]\nblock = [\"non-global\"]\nallow = [\"127.0.0.1/32\"]\n";

/// One rule for everything on a site.
fn on(site: &Site, more: &str) -> String {
    format!("{BASICS}[[fetch]]\nid = \"site\"\nurl = \"{}\"\nmethods = [\"GET\", \"POST\"]\n{more}\n", site.url("/**"))
}

fn parse(toml: &str) -> Policy {
    crate::support::parse(toml)
}

fn script(policy: &Policy, calls: &Value) -> Run {
    Run::new(GUEST.clone(), "script", calls.to_string(), policy.clone()).with_id(id("x"))
}

/// Runs a script to its end, on a host of its own over a place like this.
fn told(place: &Place, policy: &Policy, calls: Value) -> Vec<String> {
    let place = place.another();
    place.equip(&GUEST);
    outcomes(&outcome(place.host(), script(policy, &calls)))
}

#[track_caller]
fn outcomes(report: &Report) -> Vec<String> {
    serde_json::from_str(result(report)).unwrap()
}

fn fields(new: &str, list: Value) -> Value {
    json!({ "fields": { "new": new, "list": list } })
}

/// A request with the headers `h`.
fn request(new: &str, method: &str, url: &str) -> Value {
    json!({ "request": { "new": new, "method": method, "url": url, "fields": "h" } })
}

/// Makes a thing of another.
fn of(what: &str, new: &str, of: &str) -> Value {
    json!({ what: { "new": new, "of": of } })
}

fn write(to: &str, text: &str) -> Value {
    json!({ "write": { "to": to, "text": text } })
}

fn finish(body: &str) -> Value {
    json!({ "finish": { "body": body } })
}

fn handle(new: &str, request: &str) -> Value {
    json!({ "handle": { "new": new, "request": request } })
}

fn subscribe(new: &str, to: &str) -> Value {
    json!({ "subscribe": { "new": new, "to": to } })
}

fn read(from: &str, bytes: u64) -> Value {
    json!({ "read": { "from": from, "bytes": bytes } })
}

fn fetch(url: &str) -> Value {
    json!({ "fetch": url })
}

fn post(url: &str, bytes: u64) -> Value {
    json!({ "post": { "url": url, "bytes": bytes } })
}
