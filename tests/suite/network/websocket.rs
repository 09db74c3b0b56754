//! Connections that stay: bounded in both directions, never redirected, closed with a reason.

use super::dns::{Dns, addresses};
use super::servers::{Authority, Server, Step, ok, redirect, response};
use super::{AMPLE, allow, target};
use everstep::ErrorCode;
use everstep::capability::websocket::{
    Bounds, Client, Closed, ClosedBy, Connection, Event, Message, Opening, Unsent, check_close, check_subprotocols,
};
use everstep::network::address::{Class, Rules};
use everstep::network::{Cause, Failure, Options};
use futures::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Message as Frame;

fn bounds() -> Bounds {
    Bounds { connect: AMPLE, max_message: 1000, idle: AMPLE }
}

pub(super) fn opening(url: &str) -> Opening {
    Opening { url: target(url), headers: Vec::new(), subprotocols: Vec::new() }
}

pub(super) fn client() -> Client {
    Client::new(&Options::system(), allow(&["127.0.0.1"]))
}

async fn open(server: &Server) -> Connection {
    open_with(server, &bounds()).await
}

async fn open_with(server: &Server, bounds: &Bounds) -> Connection {
    client().connect(&opening(&format!("ws://{}/", server.address)), bounds).await.unwrap()
}

pub(super) async fn refused(opening: &Opening) -> Failure {
    client().connect(opening, &bounds()).await.unwrap_err()
}

fn text(text: &str) -> Message {
    Message::Text(text.to_owned())
}

/// What `receive` reports, which must be soon.
async fn next(connection: &Connection) -> Event {
    timeout(AMPLE, connection.receive()).await.unwrap()
}

async fn closed(connection: &Connection) -> Closed {
    match next(connection).await {
        Event::Closed(closed) => closed,
        Event::Message(message) => panic!("{message:?}"),
    }
}

/// Sends every message back.
async fn echo() -> Server {
    Server::with(|stream| async {
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
        while let Some(Ok(frame)) = socket.next().await {
            if (frame.is_text() || frame.is_binary()) && socket.send(frame).await.is_err() {
                return;
            }
        }
    })
    .await
}

/// Shakes hands honestly, and then sends these bytes; what the client sends is collected until it ends.
async fn lying(bytes: Vec<u8>) -> (Server, tokio::sync::mpsc::Receiver<Vec<u8>>) {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let server = Server::with(move |mut stream| {
        let (bytes, sender) = (bytes.clone(), sender.clone());
        async move {
            shake_hands(&mut stream, "").await;
            let (mut from, mut to) = stream.split();
            let mut received = Vec::new();
            let (_, _) = tokio::join!(async { drop(to.write_all(&bytes).await) }, from.read_to_end(&mut received));
            let _ = sender.send(received).await;
        }
    })
    .await;
    (server, receiver)
}

pub(super) async fn shake_hands(stream: &mut TcpStream, headers: &str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n{headers}\r\n"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// A frame of a server; `first` is the byte with the end bit and the kind.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(u8::try_from(length).unwrap()),
        length => {
            bytes.push(126);
            bytes.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

#[tokio::test]
async fn texts_and_bytes_come_back_as_they_were_sent() {
    let server = echo().await;
    let connection = open(&server).await;
    assert_eq!((connection.address(), connection.subprotocol()), (server.address, None));
    for message in [text("h\u{e9}llo"), text(""), Message::Binary(vec![0, 255, 7]), Message::Binary(vec![9; 1000])] {
        connection.send(message.clone()).await.unwrap();
        assert_eq!(next(&connection).await, Event::Message(message));
    }
}

#[tokio::test]
async fn a_connection_is_secured_with_the_given_authorities() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(&[]);
    let server = Server::with(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            socket.send(Frame::text("secured")).await.unwrap();
        }
    })
    .await;
    let opening = opening(&format!("wss://{}/", server.address));
    let options = Options::system().with_authorities(&[authority.file()]).unwrap();
    let connection = Client::new(&options, allow(&["127.0.0.1"])).connect(&opening, &bounds()).await.unwrap();
    assert_eq!(next(&connection).await, Event::Message(text("secured")));
    let stranger = Options::system().with_authorities(&[Authority::new().file()]).unwrap();
    let failure = Client::new(&stranger, allow(&["127.0.0.1"])).connect(&opening, &bounds()).await.unwrap_err();
    assert!(matches!(failure.cause, Cause::Connect(..)) && failure.is_before_sending(), "{failure:?}");
}

#[tokio::test]
async fn one_task_sends_while_another_receives() {
    let server = echo().await;
    let connection = open(&server).await;
    let receiving = async {
        for index in 0..200 {
            assert_eq!(next(&connection).await, Event::Message(text(&index.to_string())));
        }
    };
    let sending = async {
        for index in 0..200 {
            connection.send(text(&index.to_string())).await.unwrap();
        }
    };
    tokio::join!(receiving, sending);
}

#[tokio::test]
async fn a_receive_that_is_given_up_loses_nothing() {
    let server = echo().await;
    let connection = open(&server).await;
    for index in 0..20 {
        let given_up = timeout(Duration::from_millis(1), connection.receive()).await;
        assert!(given_up.is_err());
        connection.send(text(&index.to_string())).await.unwrap();
        assert_eq!(next(&connection).await, Event::Message(text(&index.to_string())));
    }
}

#[tokio::test]
async fn private_addresses_are_refused_before_a_listener_is_reached() {
    let server = echo().await;
    let dns = Dns::start(|_, _| addresses("127.0.0.1")).await;
    let client = Client::new(&Options::system().with_name_servers(&[dns.address]), Rules::default());
    for host in
        ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "[::ffff:127.0.0.1]", "127.0.0.1.nip.io"]
    {
        let opening = opening(&format!("ws://{host}:{}/", server.port()));
        let failure = client.connect(&opening, &bounds()).await.unwrap_err();
        assert_eq!(failure.cause, Cause::Refused(Class::Loopback), "{host}");
        assert!(failure.is_before_sending());
        assert_eq!(failure.into_guest("websocket").code, ErrorCode::Denied);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_redirect_of_the_handshake_is_refused() {
    let server = echo().await;
    for status in [301, 302, 307, 308] {
        let location = format!("ws://{}/", server.address);
        let redirecting = Server::start(move |_| redirect(status, &location)).await;
        let failure = refused(&opening(&format!("ws://{}/", redirecting.address))).await;
        assert!(matches!(failure.cause, Cause::Misled(_)), "{status}: {failure:?}");
        assert_eq!(failure.into_guest("websocket").code, ErrorCode::Denied);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn what_is_no_handshake_opens_nothing() {
    let upgrade = "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
    for lie in [
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n".to_owned(),
        format!("{upgrade}\r\n"),
        format!("{upgrade}sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
        "HTTP/1.1 101 X\r\n\r\n".to_owned(),
        format!("HTTP/1.1 101 X\r\n{}\r\n", "a: b\r\n".repeat(100_000)),
        format!("HTTP/1.1 101 X\r\na: {}\r\n\r\n", "b".repeat(1 << 20)),
        "SSH-2.0-x\r\n\r\n".to_owned(),
    ] {
        let answer = lie.clone().into_bytes();
        let server = Server::start(move |_| vec![Step::Send(answer.clone()), Step::Close]).await;
        let failure = refused(&opening(&format!("ws://{}/", server.address))).await;
        let shown: String = lie.chars().take(100).collect();
        assert!(matches!(failure.cause, Cause::BadResponse(_)), "{shown:?}: {failure:?}");
        assert!(failure.sent, "{shown:?}");
    }
    let server = Server::start(|_| vec![Step::Close]).await;
    let failure = refused(&opening(&format!("ws://{}/", server.address))).await;
    assert!(matches!(failure.cause, Cause::Interrupted(_)), "{failure:?}");
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_ends_at_its_deadline() {
    let server = Server::start(|_| vec![Step::Stall]).await;
    let bounds = Bounds { connect: Duration::from_millis(200), ..bounds() };
    let failure = client().connect(&opening(&format!("ws://{}/", server.address)), &bounds).await.unwrap_err();
    assert_eq!((failure.cause, failure.address), (Cause::TimedOut, Some(server.address)));
}

#[tokio::test]
async fn headers_and_subprotocols_are_sent_and_one_subprotocol_is_chosen() {
    let server = Server::with(|mut stream| async move {
        shake_hands(&mut stream, "Sec-WebSocket-Protocol: v2\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut opening = opening(&format!("ws://{}/a?b", server.address));
    opening.subprotocols = vec!["v1".into(), "v2".into()];
    let connection = client().connect(&opening, &bounds()).await.unwrap();
    assert_eq!(connection.subprotocol(), Some("v2"));
    for other in [vec![], vec!["v1".to_owned()]] {
        opening.subprotocols = other;
        assert!(matches!(refused(&opening).await.cause, Cause::BadResponse(_)));
    }
    let seen = Server::start(|_| response("403 No", &[], b"")).await;
    opening.url = target(&format!("ws://{}/a?b", seen.address));
    opening.headers = vec![("x-a".into(), "caf\u{e9}".replace('\u{e9}', "e")), ("authorization".into(), "b".into())];
    refused(&opening).await;
    let request = &seen.requests()[0];
    assert_eq!((request.line(), request.header("host")), ("GET /a?b", vec![seen.address.to_string().as_str()]));
    assert_eq!((request.header("x-a"), request.header("authorization")), (vec!["cafe"], vec!["b"]));
    assert_eq!(request.header("sec-websocket-protocol"), ["v1"]);
    assert_eq!(request.header("sec-websocket-extensions"), Vec::<&str>::new());
}

#[tokio::test]
async fn forbidden_headers_and_line_breaks_are_not_sent_even_unchecked() {
    let server = Server::start(|_| ok("")).await;
    let asked = opening(&format!("ws://{}/", server.address));
    for (name, value) in [
        ("host", "evil"),
        ("Sec-WebSocket-Protocol", "x"),
        ("sec-websocket-key", "x"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("upgrade", "h2c"),
        ("x-a", "1\r\nx-b: 2"),
        ("x-a\r\nx-b", "2"),
    ] {
        let headers = vec![(name.to_owned(), value.to_owned())];
        let failure = refused(&Opening { headers, ..asked.clone() }).await;
        assert!(matches!(failure.cause, Cause::Invalid(_)) && failure.is_before_sending(), "{name}: {failure:?}");
    }
    for names in
        [vec![""], vec!["a b"], vec!["a,b"], vec!["a\r\nx-b: 2"], vec!["a", "a"], vec!["\u{e9}"], vec!["a"; 17]]
    {
        let subprotocols: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(check_subprotocols(&subprotocols).unwrap_err().code, ErrorCode::Invalid, "{names:?}");
        let failure = refused(&Opening { subprotocols, ..asked.clone() }).await;
        assert!(matches!(failure.cause, Cause::Invalid(_)), "{names:?}: {failure:?}");
    }
    let failure = refused(&opening(&format!("http://{}/", server.address))).await;
    assert!(matches!(failure.cause, Cause::Invalid(_)), "{failure:?}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_message_that_is_too_long_is_not_sent_and_the_connection_stays() {
    let server = echo().await;
    let connection = open(&server).await;
    for message in [Message::Binary(vec![0; 1001]), text(&"\u{e9}".repeat(501))] {
        assert_eq!(connection.send(message).await, Err(Unsent::TooLarge { max: 1000 }));
    }
    connection.send(text("still here")).await.unwrap();
    assert_eq!(next(&connection).await, Event::Message(text("still here")));
}

/// Bytes that a server sends, and how the connection ends by them; the code is also what the server is told.
fn lies() -> Vec<(&'static str, Vec<u8>, ClosedBy, u16)> {
    let fragments = |count: usize| [frame(0x02, &[0; 100]), frame(0x00, &[0; 100]).repeat(count)].concat();
    vec![
        ("a message that is too long", frame(0x82, &[0; 1001]), ClosedBy::TooLarge, 1009),
        ("a frame that says so", vec![0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255], ClosedBy::TooLarge, 1009),
        ("fragments that are too long together", fragments(10), ClosedBy::TooLarge, 1009),
        ("a text that is not UTF-8", frame(0x81, &[0xff, 0xfe]), ClosedBy::Violation, 1007),
        ("half a character", frame(0x81, &[0xc3]), ClosedBy::Violation, 1007),
        ("a masked frame", vec![0x81, 0x81, 1, 2, 3, 4, b'a' ^ 1], ClosedBy::Violation, 1002),
        ("a reserved bit, as of compression", frame(0xc1, b"x"), ClosedBy::Violation, 1002),
        ("an unknown kind", frame(0x83, b"x"), ClosedBy::Violation, 1002),
        ("a fragment of nothing", frame(0x80, b"x"), ClosedBy::Violation, 1002),
        ("a message in a message", [frame(0x01, b"x"), frame(0x81, b"y")].concat(), ClosedBy::Violation, 1002),
        ("a fragmented ping", frame(0x09, b"x"), ClosedBy::Violation, 1002),
        ("a long ping", frame(0x89, &[0; 126]), ClosedBy::Violation, 1002),
    ]
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_or_the_bounds_is_told_and_left() {
    for (what, bytes, by, code) in lies() {
        let (server, mut received) = lying([frame(0x81, b"before"), bytes].concat()).await;
        let connection = open(&server).await;
        assert_eq!(next(&connection).await, Event::Message(text("before")), "{what}");
        let end = closed(&connection).await;
        assert_eq!((end.by, end.code), (by, code), "{what}");
        assert_eq!(closed(&connection).await, end, "{what}: it stays closed");
        assert_eq!(connection.send(text("x")).await, Err(Unsent::Closed(end)), "{what}");
        let received = timeout(AMPLE, received.recv()).await.unwrap().unwrap();
        // A masked close frame whose payload begins with the code.
        assert_eq!(received[0], 0x88, "{what}");
        let told = [received[6] ^ received[2], received[7] ^ received[3]];
        assert_eq!(u16::from_be_bytes(told), code, "{what}");
    }
}

#[tokio::test]
async fn a_ping_is_answered_while_nobody_receives() {
    let (server, mut received) = lying([frame(0x89, b"are you there"), frame(0x88, &[])].concat()).await;
    let connection = open(&server).await;
    assert_eq!(closed(&connection).await, Closed { by: ClosedBy::Server, code: 1005, reason: String::new() });
    let received = timeout(AMPLE, received.recv()).await.unwrap().unwrap();
    assert_eq!((received[0], received[1]), (0x8a, 0x80 | 13));
}

#[tokio::test]
async fn a_flood_of_fragments_without_content_ends_when_the_connection_is_idle() {
    let server = Server::with(|mut stream| async move {
        shake_hands(&mut stream, "").await;
        let _ = stream.write_all(&frame(0x01, b"")).await;
        while stream.write_all(&frame(0x00, b"").repeat(1000)).await.is_ok() {}
    })
    .await;
    let connection = open_with(&server, &Bounds { idle: Duration::from_millis(200), ..bounds() }).await;
    assert_eq!(closed(&connection).await.by, ClosedBy::Idle);
}

#[tokio::test]
async fn pings_do_not_keep_an_idle_connection_open_and_messages_do() {
    let server = Server::with(|mut stream| async move {
        shake_hands(&mut stream, "").await;
        while stream.write_all(&frame(0x89, b"x")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let connection = open_with(&server, &Bounds { idle: Duration::from_secs(1), ..bounds() }).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        connection.send(text("x")).await.unwrap();
    }
    let end = closed(&connection).await;
    assert_eq!((end.by, end.code, end.reason.as_str()), (ClosedBy::Idle, 1001, "no message for too long"));
}

#[tokio::test]
async fn a_server_that_takes_nothing_holds_nobody_longer_than_the_idle_time() {
    let server = Server::with(|mut stream| async move {
        shake_hands(&mut stream, "").await;
        std::future::pending::<()>().await;
    })
    .await;
    let bounds = Bounds { idle: Duration::from_millis(200), max_message: 64 << 20, ..bounds() };
    let connection = open_with(&server, &bounds).await;
    let Err(Unsent::Closed(end)) = connection.send(Message::Binary(vec![0; 64 << 20])).await else { panic!() };
    assert_eq!(end.by, ClosedBy::Idle);
}

#[tokio::test]
async fn no_more_than_a_message_is_read_ahead_of_what_is_asked_for() {
    let server = Server::start(|request| {
        let key = request.header("sec-websocket-key")[0].to_owned();
        let head = format!(
            "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        vec![Step::Send(head.into_bytes()), Step::Repeat(frame(0x82, &[0; 1000]).repeat(64))]
    })
    .await;
    let connection = open(&server).await;
    next(&connection).await;
    // What the buffers of the system hold is taken at once; a client that reads ahead would take more and more.
    let mut taken = 0;
    while taken != server.taken() {
        taken = server.taken();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(taken < 16 << 20, "{taken} bytes were taken");
    assert!(matches!(next(&connection).await, Event::Message(_)));
}

#[tokio::test]
async fn what_arrived_before_the_end_is_received_before_it() {
    let (server, _received) = lying([frame(0x81, b"last"), frame(0x88, b"\x0b\xb8bye")].concat()).await;
    let connection = open(&server).await;
    assert_eq!(next(&connection).await, Event::Message(text("last")));
    let end = Closed { by: ClosedBy::Server, code: 3000, reason: "bye".to_owned() };
    assert_eq!(closed(&connection).await, end);
    assert_eq!(connection.close(1000, "").await, end);
}

#[tokio::test]
async fn a_connection_that_breaks_is_lost() {
    let server = Server::with(|mut stream| async move { shake_hands(&mut stream, "").await }).await;
    let connection = open(&server).await;
    let end = closed(&connection).await;
    assert_eq!((end.by, end.code), (ClosedBy::Lost, 1006));
}

#[tokio::test]
async fn the_guest_closes_with_a_code_and_a_reason() {
    let (server, mut received) = lying(Vec::new()).await;
    let connection = open(&server).await;
    let end = connection.close(4000, "done").await;
    assert_eq!(end, Closed { by: ClosedBy::Guest, code: 4000, reason: "done".to_owned() });
    assert_eq!(closed(&connection).await, end);
    drop(connection);
    let received = timeout(AMPLE, received.recv()).await.unwrap().unwrap();
    assert_eq!((received[0], received[1]), (0x88, 0x80 | 6));
    let honest = echo().await;
    let connection = open(&honest).await;
    let end = timeout(Duration::from_secs(1), connection.close(1000, "")).await.unwrap();
    assert_eq!((end.by, end.code), (ClosedBy::Guest, 1000));
}

#[test]
fn codes_and_reasons_that_no_close_frame_can_have_are_refused() {
    for code in [0, 999, 1001, 1002, 1005, 1006, 1015, 2999, 5000, 65535] {
        assert_eq!(check_close(code, "").unwrap_err().code, ErrorCode::Invalid, "{code}");
    }
    for code in [1000, 3000, 4999] {
        assert_eq!(check_close(code, &"x".repeat(123)), Ok(()), "{code}");
    }
    assert!(check_close(1000, &"x".repeat(124)).is_err());
}

#[tokio::test]
async fn a_dropped_connection_closes_its_socket() {
    let (server, mut received) = lying(Vec::new()).await;
    let connection = open(&server).await;
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    drop(connection);
    assert_eq!(timeout(AMPLE, received.recv()).await.unwrap(), Some(Vec::new()));
    assert!(tokio::runtime::Handle::current().metrics().num_alive_tasks() < tasks);
}
