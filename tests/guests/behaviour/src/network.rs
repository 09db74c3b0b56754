//! Requests over HTTP, and connections over WebSocket.

use everstep_sdk::futures::future::join_all;
use everstep_sdk::http::Response;
use everstep_sdk::websocket::{Cause, Message, Socket};
use everstep_sdk::{Context, Error, ErrorCode};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A request to be made.
#[derive(Clone, Deserialize)]
struct Wanted {
    #[serde(default = "get")]
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    timeout_ms: Option<u64>,
}

fn get() -> String {
    "GET".to_owned()
}

/// What came of it.
#[derive(Serialize)]
struct Got {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    url: String,
}

impl From<Response> for Got {
    fn from(Response { status, headers, body, url }: Response) -> Self {
        Self { status, headers, body: String::from_utf8_lossy(&body).into_owned(), url }
    }
}

fn send(ctx: &Context, wanted: Wanted) -> everstep_sdk::http::Pending {
    let Wanted { method, url, headers, body, timeout_ms } = wanted;
    let request = ctx.http(&method, url);
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let request = body.into_iter().fold(request, everstep_sdk::http::Request::body);
    let within = timeout_ms.map(Duration::from_millis);
    within.into_iter().fold(request, everstep_sdk::http::Request::within).send()
}

/// Makes one request.
#[everstep_sdk::function]
async fn fetches(ctx: Context, args: Wanted) -> Result<Got, Error> {
    send(&ctx, args).await.map(Into::into)
}

/// Makes requests one after the other; returns the statuses, or the codes of the errors.
#[everstep_sdk::function]
async fn fetches_in_turn(ctx: Context, args: Vec<Wanted>) -> Result<Vec<String>, Error> {
    let mut all = Vec::new();
    for wanted in args {
        all.push(told(send(&ctx, wanted).await));
    }
    Ok(all)
}

/// Makes requests all at once; returns the statuses, or the codes of the errors.
#[everstep_sdk::function]
async fn fetches_at_once(ctx: Context, args: Vec<Wanted>) -> Result<Vec<String>, Error> {
    let pending: Vec<_> = args.into_iter().map(|wanted| send(&ctx, wanted)).collect();
    Ok(join_all(pending).await.into_iter().map(told).collect())
}

fn told(got: Result<Response, Error>) -> String {
    got.map_or_else(|error| format!("{}: {}", error.code, error.message), |response| response.status.to_string())
}

/// Makes a request, gives it up at once, and says what came of it.
#[everstep_sdk::function]
async fn gives_a_request_up(ctx: Context, args: Wanted) -> Result<String, Error> {
    let pending = send(&ctx, args);
    pending.cancel()?;
    Ok(told(pending.await))
}

/// Fetches pages all at once and writes each into a file.
#[everstep_sdk::function]
async fn scrapes(ctx: Context, urls: Vec<String>) -> Result<usize, Error> {
    let pages = join_all(urls.iter().map(|url| ctx.fetch(url.as_str()))).await;
    for (number, page) in pages.into_iter().enumerate() {
        ctx.write_file(format!("/out/{number}.txt"), page?.body)?;
    }
    let note = ctx.http("POST", format!("{}/done", urls.first().map_or("", |url| origin(url)))).body("done");
    note.send().await?;
    Ok(urls.len())
}

fn origin(url: &str) -> &str {
    let rest = url.find("://").map_or(0, |start| start + 3);
    url[rest..].find('/').map_or(url, |end| &url[..rest + end])
}

/// Writes a file, and says what came of it; the same again as often as told.
#[everstep_sdk::function]
async fn writes_files(ctx: Context, args: (Vec<String>, String)) -> Result<Vec<String>, Error> {
    let (paths, content) = args;
    let write = |path: &String| match ctx.write_file(path, &content) {
        Ok(()) => "written".to_owned(),
        Err(error) => format!("{}: {}", error.code, error.message),
    };
    Ok(paths.iter().map(write).collect())
}

/// A conversation over one connection.
#[derive(Deserialize)]
struct Talk {
    url: String,
    #[serde(default)]
    protocols: Vec<String>,
    say: Vec<String>,
    #[serde(default)]
    binary: bool,
    /// Whether it connects anew when the host that had the connection is gone.
    #[serde(default)]
    comes_back: bool,
    close: Option<(u16, String)>,
}

/// Says something and hears the answer, line by line; returns what it heard, and how the connection ended, if it did.
#[everstep_sdk::function]
async fn talks(ctx: Context, args: Talk) -> Result<Vec<String>, Error> {
    let protocols: Vec<&str> = args.protocols.iter().map(String::as_str).collect();
    let mut socket = ctx.websocket_with(&args.url, &protocols, &[]).await?;
    let mut heard: Vec<String> = socket.protocol().map(|name| format!("protocol {name}")).into_iter().collect();
    for line in &args.say {
        let sent = if args.binary { socket.send_binary(line.as_bytes()) } else { socket.send_text(line.as_str()) };
        if let Err(error) = sent {
            heard.push(format!("{}: {}", error.code, error.message));
            if error.code == ErrorCode::LimitExceeded {
                return Ok(heard);
            }
        }
        match hear(&socket, &mut heard).await? {
            Some(Cause::Recovered) if args.comes_back => {
                socket = ctx.websocket_with(&args.url, &protocols, &[]).await?;
            }
            Some(_) => return Ok(heard),
            None => {}
        }
    }
    if let Some((code, reason)) = args.close {
        socket.close(code, &reason)?;
        hear(&socket, &mut heard).await?;
    }
    Ok(heard)
}

async fn hear(socket: &Socket, heard: &mut Vec<String>) -> Result<Option<Cause>, Error> {
    Ok(match socket.receive().await? {
        Message::Text(text) => {
            heard.push(text);
            None
        }
        Message::Binary(bytes) => {
            heard.push(format!("{bytes:?}"));
            None
        }
        Message::Closed(closed) => {
            heard.push(format!("closed {:?} {} {}", closed.cause, closed.code, closed.reason));
            Some(closed.cause)
        }
    })
}

/// Waits for as many messages as told, all at once, and returns them in the order of its calls.
#[everstep_sdk::function]
async fn hears(ctx: Context, args: (String, usize)) -> Result<Vec<String>, Error> {
    let (url, count) = args;
    let socket = ctx.websocket(&url).await?;
    let messages = join_all((0..count).map(|_| socket.receive())).await;
    messages
        .into_iter()
        .map(|message| {
            Ok(match message? {
                Message::Text(text) => text,
                other => format!("{other:?}"),
            })
        })
        .collect()
}

/// Opens so many connections at once; returns what came of each.
#[everstep_sdk::function]
async fn connects_at_once(ctx: Context, args: (String, usize)) -> Result<Vec<String>, Error> {
    let (url, count) = args;
    let sockets = join_all((0..count).map(|_| ctx.websocket(&url))).await;
    let told = |socket: &Result<Socket, Error>| match socket {
        Ok(_) => "open".to_owned(),
        Err(error) => format!("{}: {}", error.code, error.message),
    };
    Ok(sockets.iter().map(told).collect())
}

/// Makes a request that somebody has to approve, and tries to settle, await, see and give up the approval itself.
#[everstep_sdk::function]
async fn meddles_with_approval(ctx: Context, args: Wanted) -> Result<Vec<String>, Error> {
    use crate::raw::raw_bindings::everstep::host::{promises, types};
    let pending = send(&ctx, args);
    let code = |outcome: Result<(), types::Error>| match outcome {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("{:?}", error.code).rsplit("::").next().unwrap_or_default().to_lowercase(),
    };
    let mut told = vec![
        code(promises::resolve(0, r#"{"approved":true}"#)),
        code(promises::reject(0, &types::Error { code: types::ErrorCode::Failed, message: "no".into() })),
        code(promises::cancel(0)),
        code(promises::wait_any(&[0]).map(drop)),
        promises::outcome(0).map_or("nothing".to_owned(), |_| "something".to_owned()),
    ];
    told.push(pending.await.map_or_else(|error| error.code.to_string(), |got| got.status.to_string()));
    Ok(told)
}
