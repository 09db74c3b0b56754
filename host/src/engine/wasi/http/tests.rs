//! `wasi:http` over a scripted host, without a guest.

use super::generated::wasi::http::outgoing_handler::Host as _;
use super::generated::wasi::http::types::{
    HeaderError, Host as _, HostFields as _, HostFutureIncomingResponse, HostIncomingBody as _,
    HostIncomingResponse as _, HostOutgoingBody, HostOutgoingRequest as _, HostRequestOptions as _, Method, Scheme,
};
use super::*;
use crate::engine::wasi::tests::{Script, lend};
use bytes::Bytes;
use wasmtime::component::Resource;
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host as _, HostPollable as _};
use wasmtime_wasi_io::bindings::wasi::io::streams::HostInputStream as _;
use wasmtime_wasi_io::streams::StreamError;

type Wasi<'a> = Virtual<'a, Script>;

/// A POST to a path of `example.org`, with these headers.
fn post(wasi: &mut Wasi<'_>, path: &str, headers: &[(&str, &str)]) -> Resource<requests::Request> {
    let list = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    let fields = wasi.from_list(list).unwrap().unwrap();
    let request = types::HostOutgoingRequest::new(wasi, fields).unwrap();
    wasi.set_method(lend(&request), Method::Post).unwrap().unwrap();
    wasi.set_scheme(lend(&request), Some(Scheme::Http)).unwrap().unwrap();
    wasi.set_authority(lend(&request), Some("example.org".to_owned())).unwrap().unwrap();
    wasi.set_path_with_query(lend(&request), Some(path.to_owned())).unwrap().unwrap();
    request
}

/// Takes the body of a request and writes to it.
async fn written(
    wasi: &mut Wasi<'_>,
    request: &Resource<requests::Request>,
    bytes: &[u8],
) -> (Resource<bodies::OutgoingBody>, Result<(), StreamError>) {
    let body = types::HostOutgoingRequest::body(wasi, lend(request)).unwrap().unwrap();
    let stream = HostOutgoingBody::write(wasi, lend(&body)).unwrap().unwrap();
    assert!(HostOutgoingBody::write(wasi, lend(&body)).unwrap().is_err(), "there is one stream");
    let done = wasi.write_any(&stream, bytes, u64::MAX).await;
    wasmtime_wasi_io::bindings::wasi::io::streams::HostOutputStream::drop(wasi, stream).await.unwrap();
    (body, done)
}

fn taken(
    wasi: &mut Wasi<'_>,
    future: &Resource<responses::FutureResponse>,
) -> Result<Resource<responses::Response>, ErrorCode> {
    HostFutureIncomingResponse::get(wasi, lend(future)).unwrap().unwrap().unwrap()
}

#[tokio::test]
async fn a_request_is_sent_when_its_body_is_finished_and_its_response_is_read_in_pieces() {
    let mut host = Script::new();
    host.deliveries.push_back(vec![200]);
    let headers = vec![("x-a".to_owned(), vec![0xe9])];
    host.responses.insert(200, Ok(Incoming { status: 201, headers, body: Bytes::from_static(b"response") }));
    let mut wasi = Virtual(&mut host);
    let request = post(&mut wasi, "/a?b", &[("X-Is", "1")]);
    let options = types::HostRequestOptions::new(&mut wasi).unwrap();
    wasi.set_connect_timeout(lend(&options), Some(7)).unwrap().unwrap();
    let (body, done) = written(&mut wasi, &request, b"body").await;
    done.unwrap();
    let future = wasi.handle(request, Some(options)).unwrap().unwrap();
    assert!(wasi.0.requests.is_empty(), "its body is not finished");
    assert!(HostFutureIncomingResponse::get(&mut wasi, lend(&future)).unwrap().is_none());
    HostOutgoingBody::finish(&mut wasi, body, None).unwrap().unwrap();
    let sent = &wasi.0.requests[0];
    assert_eq!((&*sent.method, &*sent.url, &sent.body[..]), ("POST", "http://example.org/a?b", &b"body"[..]));
    assert_eq!((sent.timeouts.connect, sent.headers[0].clone()), (Some(7), ("X-Is".to_owned(), b"1".to_vec())));
    let pollable = HostFutureIncomingResponse::subscribe(&mut wasi, lend(&future)).unwrap();
    assert!(!wasi.ready(lend(&pollable)).await.unwrap());
    assert_eq!(wasi.poll(vec![lend(&pollable)]).await.unwrap(), [0]);
    let response = taken(&mut wasi, &future).unwrap();
    assert!(HostFutureIncomingResponse::get(&mut wasi, lend(&future)).unwrap().unwrap().is_err(), "it was taken");
    assert!(wasi.ready(lend(&pollable)).await.unwrap());
    assert!(HostFutureIncomingResponse::drop(&mut wasi, lend(&future)).await.is_err(), "its pollable is there");
    wasmtime_wasi_io::bindings::wasi::io::poll::HostPollable::drop(&mut wasi, pollable).unwrap();
    assert_eq!(types::HostIncomingResponse::status(&mut wasi, lend(&response)).unwrap(), 201);
    let fields = types::HostIncomingResponse::headers(&mut wasi, lend(&response)).unwrap();
    assert_eq!(types::HostFields::get(&mut wasi, lend(&fields), "X-A".to_owned()).unwrap(), [vec![0xe9]]);
    assert!(matches!(
        types::HostFields::delete(&mut wasi, lend(&fields), "x-a".to_owned()).unwrap(),
        Err(HeaderError::Immutable)
    ));
    let body = wasi.consume(lend(&response)).unwrap().unwrap();
    assert!(wasi.consume(lend(&response)).unwrap().is_err());
    let stream = wasi.stream(lend(&body)).unwrap().unwrap();
    assert!(wasi.stream(lend(&body)).unwrap().is_err());
    assert_eq!(wasi.read_any(&stream, 3, false).await.unwrap(), b"res");
    assert_eq!(wasi.blocking_skip(lend(&stream), 2).await.unwrap(), 2);
    assert_eq!(wasi.blocking_read(lend(&stream), u64::MAX).await.unwrap(), b"nse");
    assert!(matches!(wasi.read_any(&stream, 1, false).await, Err(StreamError::Closed)));
    assert!(types::HostIncomingBody::finish(&mut wasi, lend(&body)).is_err(), "its stream is there");
    assert!(wasi.0.wasi.http.held().load(Ordering::SeqCst) > 0);
    for drops in [true, false] {
        match drops {
            true => wasmtime_wasi_io::bindings::wasi::io::streams::HostInputStream::drop(&mut wasi, lend(&stream))
                .await
                .unwrap(),
            false => types::HostFields::drop(&mut wasi, lend(&fields)).unwrap(),
        }
    }
    types::HostIncomingResponse::drop(&mut wasi, response).unwrap();
    let trailers = types::HostIncomingBody::finish(&mut wasi, body).unwrap();
    assert!(matches!(types::HostFutureTrailers::get(&mut wasi, lend(&trailers)).unwrap(), Some(Ok(Ok(None)))));
    assert!(matches!(types::HostFutureTrailers::get(&mut wasi, lend(&trailers)).unwrap(), Some(Err(()))));
    types::HostFutureTrailers::drop(&mut wasi, trailers).unwrap();
    HostFutureIncomingResponse::drop(&mut wasi, future).await.unwrap();
    assert_eq!((host.waits, host.given_up.len()), (vec![vec![200]], 0));
    assert_eq!(host.wasi.http.held().load(Ordering::SeqCst), 0, "nothing is left in memory");
    assert!(host.wasi.table.is_empty() && host.wasi.http.pollables.is_empty() && host.wasi.http.writers.is_empty());
}

#[tokio::test]
async fn a_body_that_cannot_be_sent_is_told_to_all_who_wait_for_it() {
    let too_large = ErrorCode::HttpRequestBodySize(Some(1000));
    for (headers, bytes, room, expected) in [
        (&[][..], 1001, 1 << 20, Some(format!("{too_large:?}"))),
        (&[("Content-Length", "4")], 5, 1 << 20, Some("HttpRequestBodySize(Some(5))".to_owned())),
        (&[("Content-Length", "4")], 3, 1 << 20, None),
        (&[], 900, 800, Some("limits.memory".to_owned())),
    ] {
        let mut host = Script::new();
        host.room = room;
        let mut wasi = Virtual(&mut host);
        let request = post(&mut wasi, "/", headers);
        let body = types::HostOutgoingRequest::body(&mut wasi, lend(&request)).unwrap().unwrap();
        let future = wasi.handle(request, None).unwrap().unwrap();
        let stream = HostOutgoingBody::write(&mut wasi, lend(&body)).unwrap().unwrap();
        let done = wasi.write_any(&stream, &vec![b'x'; bytes], u64::MAX).await;
        match &expected {
            None => done.unwrap(),
            Some(expected) => {
                let StreamError::LastOperationFailed(error) = done.unwrap_err() else { panic!("it is a failure") };
                let error = wasi.0.wasi.table.push(error).unwrap();
                let code = wasi.http_error_code(lend(&error)).unwrap().unwrap();
                assert!(format!("{code:?}").contains(expected), "{code:?}");
                assert!(matches!(wasi.write_any(&stream, b"x", 1).await, Err(StreamError::Closed)));
            }
        }
        assert!(HostOutgoingBody::finish(&mut wasi, lend(&body), None).is_err(), "its stream is there");
        wasmtime_wasi_io::bindings::wasi::io::streams::HostOutputStream::drop(&mut wasi, stream).await.unwrap();
        let code = HostOutgoingBody::finish(&mut wasi, body, None).unwrap().unwrap_err();
        assert_eq!(format!("{:?}", taken(&mut wasi, &future).unwrap_err()), format!("{code:?}"));
        assert!(wasi.0.requests.is_empty());
    }
}

#[tokio::test]
async fn a_body_that_is_dropped_or_has_trailers_cuts_its_request() {
    for (cut, when) in [(true, "before"), (false, "before"), (true, "after"), (false, "after")] {
        let mut host = Script::new();
        let mut wasi = Virtual(&mut host);
        let request = post(&mut wasi, "/", &[]);
        let (body, done) = written(&mut wasi, &request, b"half").await;
        done.unwrap();
        let end = |wasi: &mut Wasi<'_>, body| match cut {
            true => HostOutgoingBody::drop(wasi, body).unwrap(),
            false => {
                let trailers = wasi.from_list(vec![("x".to_owned(), b"y".to_vec())]).unwrap().unwrap();
                let code = HostOutgoingBody::finish(wasi, body, Some(trailers)).unwrap().unwrap_err();
                assert!(format!("{code:?}").contains("trailers"));
            }
        };
        if when == "before" {
            end(&mut wasi, body);
            assert!(wasi.handle(request, None).unwrap().is_err());
        } else {
            let future = wasi.handle(request, None).unwrap().unwrap();
            end(&mut wasi, body);
            let pollable = HostFutureIncomingResponse::subscribe(&mut wasi, lend(&future)).unwrap();
            assert!(wasi.ready(pollable).await.unwrap());
            assert!(taken(&mut wasi, &future).is_err());
        }
        assert!(host.requests.is_empty() && host.waits.is_empty());
    }
}

#[tokio::test]
async fn a_guest_that_waits_for_itself_is_told_so() {
    let mut host = Script::new();
    let mut wasi = Virtual(&mut host);
    let request = post(&mut wasi, "/", &[]);
    let body = types::HostOutgoingRequest::body(&mut wasi, lend(&request)).unwrap().unwrap();
    let future = wasi.handle(request, None).unwrap().unwrap();
    let pollable = HostFutureIncomingResponse::subscribe(&mut wasi, lend(&future)).unwrap();
    assert!(!wasi.ready(lend(&pollable)).await.unwrap());
    let error = wasi.block(lend(&pollable)).await.unwrap_err();
    assert!(error.to_string().contains("has not finished"), "{error}");
    wasmtime_wasi_io::bindings::wasi::io::poll::HostPollable::drop(&mut wasi, pollable).unwrap();
    HostFutureIncomingResponse::drop(&mut wasi, future).await.unwrap();
    HostOutgoingBody::finish(&mut wasi, body, None).unwrap().unwrap();
    assert!(host.requests.is_empty(), "nobody waits for it any more");
}

#[tokio::test]
async fn a_response_that_nobody_waits_for_any_more_is_given_up() {
    let mut host = Script::new();
    let mut wasi = Virtual(&mut host);
    let sent = |wasi: &mut Wasi<'_>| {
        let request = post(wasi, "/", &[]);
        wasi.handle(request, None).unwrap().unwrap()
    };
    let (first, second) = (sent(&mut wasi), sent(&mut wasi));
    wasi.0.settled.insert(200);
    HostFutureIncomingResponse::drop(&mut wasi, first).await.unwrap();
    HostFutureIncomingResponse::drop(&mut wasi, second).await.unwrap();
    let denied = post(&mut wasi, "/denied", &[]);
    assert!(matches!(wasi.handle(denied, None).unwrap(), Err(ErrorCode::HttpRequestDenied)));
    assert_eq!(host.given_up, [201]);
    assert!(host.wasi.table.is_empty());
}

/// Sets and deletes a long header many times; how many bytes are counted then that were not before.
fn most_held(wasi: &mut Wasi<'_>) -> u64 {
    let held = |wasi: &mut Wasi<'_>| wasi.0.wasi.http.held().load(Ordering::SeqCst);
    let before = held(wasi);
    let fields = types::HostFields::new(wasi).unwrap();
    for _ in 0..100 {
        let long = vec![vec![b'x'; 100 << 10]; 2];
        types::HostFields::set(wasi, lend(&fields), "long".to_owned(), long).unwrap().unwrap();
    }
    types::HostFields::delete(wasi, fields, "long".to_owned()).unwrap().unwrap();
    held(wasi) - before
}

#[test]
fn fields_are_bounded_and_checked_when_they_are_set() {
    let mut host = Script::new();
    let mut wasi = Virtual(&mut host);
    let fields = types::HostFields::new(&mut wasi).unwrap();
    let set = |wasi: &mut Wasi<'_>, name: &str, value: &[u8]| {
        types::HostFields::append(wasi, lend(&fields), name.to_owned(), value.to_vec()).unwrap()
    };
    for (name, value) in [("a b", &b"1"[..]), ("", b"1"), ("x", b"1\r\ny: 2"), ("x", b"\0")] {
        assert!(matches!(set(&mut wasi, name, value), Err(HeaderError::InvalidSyntax)), "{name}");
    }
    assert!(matches!(set(&mut wasi, "Upgrade", b"1"), Err(HeaderError::Forbidden)));
    set(&mut wasi, "X-A", b"1").unwrap();
    set(&mut wasi, "x-a", b"2").unwrap();
    assert_eq!(types::HostFields::get(&mut wasi, lend(&fields), "X-a".to_owned()).unwrap(), [b"1", b"2"]);
    let copy = types::HostFields::clone(&mut wasi, lend(&fields)).unwrap();
    types::HostFields::set(&mut wasi, lend(&fields), "x-A".to_owned(), vec![b"3".to_vec()]).unwrap().unwrap();
    assert_eq!(types::HostFields::entries(&mut wasi, lend(&fields)).unwrap(), [("x-A".to_owned(), b"3".to_vec())]);
    types::HostFields::delete(&mut wasi, lend(&copy), "x-a".to_owned()).unwrap().unwrap();
    assert!(
        !types::HostFields::has(&mut wasi, copy, "x-a".to_owned()).unwrap()
            && types::HostFields::has(&mut wasi, lend(&fields), "x-a".to_owned()).unwrap()
    );
    let most = (0..).take_while(|_| set(&mut wasi, "y", b"").is_ok()).count();
    assert_eq!(most, 999);
    let many = vec![("a".to_owned(), Vec::new()); 1_000_000];
    assert!(matches!(wasi.from_list(many).unwrap(), Err(HeaderError::Forbidden)));
    let long = vec![("a".to_owned(), vec![b'x'; 300 << 10])];
    assert!(matches!(wasi.from_list(long).unwrap(), Err(HeaderError::Forbidden)));
    assert_eq!(most_held(&mut wasi), 0, "nothing more is counted than there is");
    wasi.0.room = 1000;
    assert!(types::HostFields::clone(&mut wasi, lend(&fields)).is_err(), "the memory has no room");
}
