//! A guest that uses `wasi:http` as it is told: its argument is a script of calls, its result what each of them returned.

use everstep_sdk::{Context, Error};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::hint::black_box;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, FutureTrailers, IncomingBody, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, OutgoingResponse, RequestOptions, Scheme, http_error_code,
};
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// One call. What it makes gets the name `new`; what has a name is dropped under it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
enum Call {
    Fields { new: String, list: Vec<(String, String)> },
    /// That many fields at once, and then one after the other: how many were taken, and the errors.
    Many(usize),
    Append { to: String, name: String, value: String },
    Set { to: String, name: String, values: Vec<String> },
    Delete { from: String, name: String },
    Get { from: String, name: String },
    Entries(String),
    Copy { new: String, of: String },
    /// A request to a URL, with headers that are made before.
    Request { new: String, method: String, url: String, fields: String },
    Scheme { of: String, other: String },
    Authority { of: String, text: String },
    Path { of: String, text: String },
    Headers { new: String, of: String },
    Body { new: String, of: String },
    Stream { new: String, of: String },
    Write { to: String, text: String },
    /// Writes until an error, at most that many bytes, and tells how many were taken and the error.
    Fill { to: String, bytes: u64 },
    Finish { body: String, trailers: Option<String> },
    /// Finishes a body, and once more under the same number.
    FinishTwice(String),
    /// Timeouts in milliseconds.
    Options { new: String, connect: Option<u64>, first_byte: Option<u64>, between_bytes: Option<u64> },
    Handle { new: String, request: String, options: Option<String> },
    Subscribe { new: String, to: String },
    Ready(String),
    Block(String),
    /// Which of these are ready.
    Poll(Vec<String>),
    Response { new: String, of: String },
    Status(String),
    SetStatus { of: String, status: u16 },
    /// Reads that many bytes.
    Read { from: String, bytes: u64 },
    Trailers { new: String, of: String },
    TrailersOf(String),
    Drop(String),
    /// Gives all names free; what had them stays.
    Forget,
    /// A whole GET: status, location and body, or the error.
    Fetch(String),
    /// A whole POST with that many bytes.
    Post { url: String, bytes: u64 },
    /// Makes that many fields, requests or bodies of so many bytes, and keeps them.
    Leak { what: String, count: u32, bytes: u64 },
    /// Asks whether a response is there, for ever.
    Spin(String),
    /// Takes that much memory.
    Grow(usize),
}

enum Thing {
    Fields(Fields),
    Request(OutgoingRequest),
    Answer(OutgoingResponse),
    Options(RequestOptions),
    Outgoing(OutgoingBody),
    Output(OutputStream),
    Future(FutureIncomingResponse),
    Pollable(Pollable),
    Response(IncomingResponse),
    Incoming(IncomingBody),
    Input(InputStream),
    Trailers(FutureTrailers),
}

#[derive(Default)]
struct World {
    things: BTreeMap<String, Thing>,
    leaked: Vec<Thing>,
    memory: Vec<Vec<u8>>,
}

/// What is under a name, if it is of that kind.
macro_rules! the {
    ($world:expr, $kind:ident, $name:expr) => {
        match $world.things.get(&$name) {
            Some(Thing::$kind(thing)) => thing,
            _ => return format!("{} is something else", $name),
        }
    };
}

/// The same, taken.
macro_rules! take {
    ($world:expr, $kind:ident, $name:expr) => {
        match $world.things.remove(&$name) {
            Some(Thing::$kind(thing)) => thing,
            _ => return format!("{} is something else", $name),
        }
    };
}

fn told<T>(done: Result<T, impl std::fmt::Debug>) -> String {
    done.map_or_else(|error| format!("{error:?}"), |_| "ok".to_owned())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "POST" => Method::Post,
        other => Method::Other(other.to_owned()),
    }
}

fn stream_error(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => format!("failed {:?}", http_error_code(&error)),
    }
}

/// A request to a URL; what could not be set is told.
fn request(verb: &str, url: &str, fields: Fields) -> Result<OutgoingRequest, String> {
    let request = OutgoingRequest::new(fields);
    let (scheme, rest) = url.split_once("://").ok_or("no URL")?;
    let (authority, path) = rest.find('/').map_or((rest, None), |at| (&rest[..at], Some(&rest[at..])));
    let scheme = if scheme == "http" { Scheme::Http } else { Scheme::Https };
    request.set_method(&method(verb)).map_err(|()| "method")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme")?;
    request.set_authority(Some(authority)).map_err(|()| "authority")?;
    request.set_path_with_query(path).map_err(|()| "path")?;
    Ok(request)
}

/// Status, location and body of a response that is waited for.
fn whole(future: &FutureIncomingResponse) -> String {
    future.subscribe().block();
    let Some(Ok(response)) = future.get() else { return "nothing".to_owned() };
    let response = match response {
        Ok(response) => response,
        Err(code) => return format!("{code:?}"),
    };
    let location: Vec<String> = response.headers().get("location").iter().map(|value| text(value)).collect();
    let (body, mut bytes) = (response.consume().unwrap(), Vec::new());
    let stream = body.stream().unwrap();
    while let Ok(more) = stream.blocking_read(1 << 20) {
        bytes.extend(more);
    }
    format!("{} {}{}", response.status(), location.concat(), text(&bytes))
}

fn write(stream: &OutputStream, bytes: u64) -> (u64, String) {
    let piece = [b'x'; 4096];
    let mut written = 0;
    while written < bytes {
        let now = (bytes - written).min(4096);
        if let Err(error) = stream.blocking_write_and_flush(&piece[..now as usize]) {
            return (written, stream_error(error));
        }
        written += now;
    }
    (written, "ok".to_owned())
}

fn post(url: &str, bytes: u64) -> String {
    let request = match request("POST", url, Fields::new()) {
        Ok(request) => request,
        Err(what) => return what,
    };
    let body = request.body().unwrap();
    let future = match handle(request, None) {
        Ok(future) => future,
        Err(code) => return format!("{code:?}"),
    };
    let done = write(&body.write().unwrap(), bytes).1;
    let finished = told(OutgoingBody::finish(body, None));
    format!("{done}, {finished}, {}", whole(&future))
}

impl World {
    fn put(&mut self, new: String, thing: Thing) -> String {
        self.things.insert(new, thing);
        "ok".to_owned()
    }

    fn leak(&mut self, what: &str, bytes: u64) -> String {
        let thing = match what {
            "fields" => Thing::Fields(Fields::new()),
            "requests" => Thing::Request(OutgoingRequest::new(Fields::new())),
            "headers" => {
                let fields = Fields::new();
                let set = fields.append("x", &vec![b'x'; bytes as usize]);
                self.leaked.push(Thing::Fields(fields));
                return told(set);
            }
            _ => {
                let request = OutgoingRequest::new(Fields::new());
                let body = request.body().unwrap();
                let (_, done) = write(&body.write().unwrap(), bytes);
                self.leaked.extend([Thing::Request(request), Thing::Outgoing(body)]);
                return done;
            }
        };
        self.leaked.push(thing);
        "ok".to_owned()
    }

    fn run(&mut self, call: Call) -> String {
        match call {
            Call::Fields { new, list } => {
                let list: Vec<_> = list.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
                match Fields::from_list(&list) {
                    Ok(fields) => self.put(new, Thing::Fields(fields)),
                    Err(error) => format!("{error:?}"),
                }
            }
            Call::Many(count) => {
                let at_once = told(Fields::from_list(&vec![("x".to_owned(), b"y".to_vec()); count]));
                let fields = Fields::new();
                let taken = (0..count).take_while(|_| fields.append("x", b"y").is_ok()).count();
                format!("{at_once}, {taken}")
            }
            Call::Append { to, name, value } => told(the!(self, Fields, to).append(&name, value.as_bytes())),
            Call::Set { to, name, values } => {
                let values: Vec<_> = values.into_iter().map(String::into_bytes).collect();
                told(the!(self, Fields, to).set(&name, &values))
            }
            Call::Delete { from, name } => told(the!(self, Fields, from).delete(&name)),
            Call::Get { from, name } => {
                let fields = the!(self, Fields, from);
                let values: Vec<_> = fields.get(&name).iter().map(|value| text(value)).collect();
                format!("{} {}", fields.has(&name), values.join(","))
            }
            Call::Entries(of) => {
                let entries = the!(self, Fields, of).entries();
                entries.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(",")
            }
            Call::Copy { new, of } => {
                let copy = the!(self, Fields, of).clone();
                self.put(new, Thing::Fields(copy))
            }
            Call::Request { new, method, url, fields } => {
                let fields = take!(self, Fields, fields);
                match request(&method, &url, fields) {
                    Ok(request) => self.put(new, Thing::Request(request)),
                    Err(what) => what,
                }
            }
            Call::Scheme { of, other } => told(the!(self, Request, of).set_scheme(Some(&Scheme::Other(other)))),
            Call::Authority { of, text } => told(the!(self, Request, of).set_authority(Some(&text))),
            Call::Path { of, text } => told(the!(self, Request, of).set_path_with_query(Some(&text))),
            Call::Headers { new, of } => {
                let headers = match self.things.get(&of) {
                    Some(Thing::Request(request)) => request.headers(),
                    Some(Thing::Response(response)) => response.headers(),
                    Some(Thing::Fields(_)) => {
                        let answer = OutgoingResponse::new(take!(self, Fields, of));
                        return self.put(new, Thing::Answer(answer));
                    }
                    _ => return format!("{of} has no headers"),
                };
                self.put(new, Thing::Fields(headers))
            }
            Call::Body { new, of } => match self.things.get(&of) {
                Some(Thing::Request(request)) => match request.body() {
                    Ok(body) => self.put(new, Thing::Outgoing(body)),
                    Err(()) => "taken".to_owned(),
                },
                Some(Thing::Response(response)) => match response.consume() {
                    Ok(body) => self.put(new, Thing::Incoming(body)),
                    Err(()) => "taken".to_owned(),
                },
                Some(Thing::Answer(answer)) => match answer.body() {
                    Ok(body) => self.put(new, Thing::Outgoing(body)),
                    Err(()) => "taken".to_owned(),
                },
                _ => format!("{of} has no body"),
            },
            Call::Stream { new, of } => match self.things.get(&of) {
                Some(Thing::Outgoing(body)) => match body.write() {
                    Ok(stream) => self.put(new, Thing::Output(stream)),
                    Err(()) => "taken".to_owned(),
                },
                Some(Thing::Incoming(body)) => match body.stream() {
                    Ok(stream) => self.put(new, Thing::Input(stream)),
                    Err(()) => "taken".to_owned(),
                },
                _ => format!("{of} has no stream"),
            },
            Call::Write { to, text } => {
                let done = the!(self, Output, to).blocking_write_and_flush(text.as_bytes());
                done.map_or_else(stream_error, |()| "ok".to_owned())
            }
            Call::Fill { to, bytes } => {
                let (written, done) = write(the!(self, Output, to), bytes);
                format!("{written} {done}")
            }
            Call::Finish { body, trailers } => {
                let trailers = match trailers {
                    Some(trailers) => Some(take!(self, Fields, trailers)),
                    None => None,
                };
                told(OutgoingBody::finish(take!(self, Outgoing, body), trailers))
            }
            Call::FinishTwice(body) => {
                let body = take!(self, Outgoing, body);
                // SAFETY: none; the host has to stand it.
                let again = unsafe { OutgoingBody::from_handle(body.handle()) };
                told(OutgoingBody::finish(body, None)) + &told(OutgoingBody::finish(again, None))
            }
            Call::Options { new, connect, first_byte, between_bytes } => {
                let (options, ns) = (RequestOptions::new(), |ms: Option<u64>| ms.map(|ms| ms * 1_000_000));
                let set = options.set_connect_timeout(ns(connect));
                let set = set.and_then(|()| options.set_first_byte_timeout(ns(first_byte)));
                let set = set.and_then(|()| options.set_between_bytes_timeout(ns(between_bytes)));
                self.put(new, Thing::Options(options));
                told(set)
            }
            Call::Handle { new, request, options } => {
                let request = take!(self, Request, request);
                let options = match options {
                    Some(options) => Some(take!(self, Options, options)),
                    None => None,
                };
                match handle(request, options) {
                    Ok(future) => self.put(new, Thing::Future(future)),
                    Err(code) => format!("{code:?}"),
                }
            }
            Call::Subscribe { new, to } => {
                let pollable = match self.things.get(&to) {
                    Some(Thing::Future(future)) => future.subscribe(),
                    Some(Thing::Input(stream)) => stream.subscribe(),
                    Some(Thing::Output(stream)) => stream.subscribe(),
                    Some(Thing::Trailers(trailers)) => trailers.subscribe(),
                    _ => return format!("{to} cannot be waited for"),
                };
                self.put(new, Thing::Pollable(pollable))
            }
            Call::Ready(name) => the!(self, Pollable, name).ready().to_string(),
            Call::Block(name) => {
                the!(self, Pollable, name).block();
                "ok".to_owned()
            }
            Call::Poll(names) => {
                let mut pollables = Vec::new();
                for name in &names {
                    pollables.push(the!(self, Pollable, *name));
                }
                poll(&pollables).iter().map(|at| names[*at as usize].clone()).collect::<Vec<_>>().join(",")
            }
            Call::Response { new, of } => match the!(self, Future, of).get() {
                None => "pending".to_owned(),
                Some(Err(())) => "taken".to_owned(),
                Some(Ok(Err(code))) => format!("{code:?}"),
                Some(Ok(Ok(response))) => self.put(new, Thing::Response(response)),
            },
            Call::Status(of) => the!(self, Response, of).status().to_string(),
            Call::SetStatus { of, status } => told(the!(self, Answer, of).set_status_code(status)),
            Call::Read { from, bytes } => {
                let read = the!(self, Input, from).read(bytes);
                read.map_or_else(stream_error, |bytes| text(&bytes))
            }
            Call::Trailers { new, of } => {
                let trailers = IncomingBody::finish(take!(self, Incoming, of));
                self.put(new, Thing::Trailers(trailers))
            }
            Call::TrailersOf(of) => match the!(self, Trailers, of).get() {
                None => "pending".to_owned(),
                Some(Err(())) => "taken".to_owned(),
                Some(Ok(Ok(trailers))) => format!("{}", trailers.is_some()),
                Some(Ok(Err(code))) => format!("{code:?}"),
            },
            Call::Drop(name) => {
                let is_there = self.things.remove(&name).is_some();
                if is_there { "ok".to_owned() } else { format!("{name} is not there") }
            }
            Call::Forget => {
                std::mem::forget(std::mem::take(&mut self.things));
                "ok".to_owned()
            }
            Call::Fetch(url) => match request("GET", &url, Fields::new()).map(|request| handle(request, None)) {
                Ok(Ok(future)) => whole(&future),
                Ok(Err(code)) => format!("{code:?}"),
                Err(what) => what,
            },
            Call::Post { url, bytes } => post(&url, bytes),
            Call::Leak { what, count, bytes } => {
                for made in 0..count {
                    let done = self.leak(&what, bytes);
                    if done != "ok" {
                        return format!("{made} {done}");
                    }
                }
                format!("{count} ok")
            }
            Call::Spin(name) => {
                let pollable = the!(self, Pollable, name);
                while !pollable.ready() {}
                "ready".to_owned()
            }
            Call::Grow(bytes) => {
                self.memory.push(vec![1; bytes]);
                "ok".to_owned()
            }
        }
    }
}

/// Makes calls, one after the other.
#[everstep_sdk::function]
async fn script(_ctx: Context, calls: Vec<Call>) -> Result<Vec<String>, Error> {
    let mut world = World::default();
    let outcomes = calls.into_iter().map(|call| world.run(call)).collect();
    // In any order they could be dropped before what they belong to.
    std::mem::forget(world);
    Ok(outcomes)
}

/// The suite overwrites what follows the colon.
static VARIANT: &[u8; 24] = b"everstep-variant:plain  ";

/// Makes a request as the variant says, and waits for an answer.
#[everstep_sdk::function]
async fn varies(ctx: Context, url: String) -> Result<(), Error> {
    let variant = String::from_utf8_lossy(&black_box(VARIANT)[17..]).trim().to_owned();
    let options = |set: &dyn Fn(&RequestOptions) -> Result<(), ()>| {
        let options = RequestOptions::new();
        set(&options).map(|()| options).map_err(|()| Error::failed("timeouts"))
    };
    let options = match variant.as_str() {
        "follows" => {
            ctx.fetch(url.clone()).await?;
            let _: serde_json::Value = ctx.input("go on?").await?;
            return Ok(());
        }
        "patient" => Some(options(&|options| options.set_first_byte_timeout(Some(60_000_000_000)))?),
        "hasty" => Some(options(&|options| options.set_connect_timeout(Some(5_000_000_000)))?),
        _ => None,
    };
    let request = request("GET", &url, Fields::new()).map_err(|what| Error::failed(&*what))?;
    whole(&handle(request, options).map_err(|code| Error::failed(format!("{code:?}")))?);
    let _: serde_json::Value = ctx.input("go on?").await?;
    Ok(())
}
