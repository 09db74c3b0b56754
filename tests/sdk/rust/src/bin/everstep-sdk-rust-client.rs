//! A program that calls functions of Everstep by the Resonate SDK for Rust: `everstep-sdk-rust-client URL NAME ACTION ARGUMENT...`. It prints
//! one JSON value: what it gets, or `{"error": MESSAGE}`. NAME is the id of a call, or of a promise.

use resonate_sdk::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

async fn outcome(resonate: &Resonate, name: &str, rest: &[String]) -> Result<Value> {
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match rest[..] {
        // The SDK writes the only argument as it is.
        ["call", timeout, function, args] => {
            let timeout = Duration::from_millis(timeout.parse().expect("milliseconds"));
            let call = resonate.rpc(name, function, json(args)).timeout(timeout);
            call.target("poll://any@everstep").await
        }
        ["wait"] => {
            let promise = resonate.get::<Value>(name).await?;
            eprintln!("waiting");
            promise.result().await
        }
        ["resolve", value] => {
            let value = resonate_sdk::types::Value { headers: None, data: Some(json(value)) };
            resonate.promises.resolve(name, value).await?;
            Ok(Value::from("resolved"))
        }
        _ => panic!("call, wait or resolve"),
    }
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let config =
        ResonateConfig { url: Some(args[0].clone()), group: Some("clients".to_owned()), ..ResonateConfig::default() };
    let resonate = Resonate::new(config);
    let printed = match outcome(&resonate, &args[1], &args[2..]).await {
        Ok(value) => value,
        Err(Error::Application { message }) => json!({ "error": message }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    println!("{printed}");
}
