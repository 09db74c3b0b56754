//! A program that hosts a component and gives it a capability of its own: what is in stock.

use anyhow::{Context, Result};
use everstep::capability::Request;
use everstep::output::Content;
use everstep::{ErrorCode, Everstep, ExecutionId, GuestError, Policy, Run};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// From the folder of the project; `everstep build examples/embed/guest` makes the component.
const COMPONENT: &str = "examples/embed/guest/target/everstep/order.wasm";
const POLICY: &str = "examples/embed/policy.toml";
const STORE: &str = ".everstep";

#[tokio::main]
async fn main() -> Result<()> {
    let component = std::fs::read(COMPONENT).with_context(|| format!("cannot read {COMPONENT}; see README.md"))?;
    let policy = Policy::load(Path::new(POLICY))?;

    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let host = Everstep::open(STORE)
        .capability("stock", move |request: Request| {
            count.fetch_add(1, Ordering::Relaxed);
            async move { stock(&request) }
        })
        .on_output(|output| {
            if let Content::Stdout(text) = output.content {
                print!("guest: {text}");
            }
        })
        .build()?;

    let run = Run::new(component, "order", json!({ "item": "coffee", "amount": 3 }).to_string(), policy);
    let run = run.with_id(ExecutionId::new("order-1")?);
    for attempt in ["first", "second"] {
        let report = host.run(run.clone()).await?;
        let result = report.result.with_context(|| format!("no result: {:?}", report.error))?;
        println!("{attempt} run: {result}; requests so far: {}", asked.load(Ordering::Relaxed));
    }
    Ok(())
}

/// Answers `{"item": NAME}`. The promise that the answer settles is an idempotency key for whatever is behind this.
fn stock(request: &Request) -> Result<String, GuestError> {
    let invalid = |error: serde_json::Error| GuestError::new(ErrorCode::Invalid, error.to_string());
    let message: Value = serde_json::from_str(&request.message).map_err(invalid)?;
    println!("stock: {} asks for {message}", request.id);
    match message["item"].as_str() {
        Some("coffee") => Ok(json!({ "left": 12, "cents": 450 }).to_string()),
        _ => Err(GuestError::new(ErrorCode::NotFound, "no such item")),
    }
}
