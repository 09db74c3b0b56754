use super::*;
use everstep::{ErrorCode, Everstep};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

fn cancel(id: &str) -> Request {
    Request::Cancel(ExecutionId::new(id).unwrap())
}

/// Runs `client` against the socket of a host over an empty store in `dir`.
fn served<T: Send + 'static>(dir: &Path, client: impl FnOnce(&Path) -> T + Send + 'static) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::start(dir, Everstep::local().build().unwrap()).unwrap();
        let path = dir.to_owned();
        let answer = tokio::task::spawn_blocking(move || client(&path)).await.unwrap();
        server.close().await;
        answer
    })
}

fn ask(stream: &mut BufReader<UnixStream>, line: &[u8]) -> String {
    stream.get_mut().write_all(line).unwrap();
    let mut answer = String::new();
    stream.read_line(&mut answer).unwrap();
    answer
}

fn connect(dir: &Path) -> BufReader<UnixStream> {
    BufReader::new(UnixStream::connect(Address::of(dir).unwrap().path).unwrap())
}

#[test]
fn a_client_learns_why_nothing_was_changed() {
    let dir = tempfile::tempdir().unwrap();
    let error = served(dir.path(), |dir| request(dir, &cancel("nobody")));
    let Err(Error::Refused(refusal)) = error else { panic!("{error:?}") };
    assert_eq!(refusal.kind, "unknown-execution");
    assert!(matches!(request(dir.path(), &cancel("nobody")), Err(Error::NoHost)), "the socket is gone with its host");
}

#[test]
fn the_socket_of_a_dead_host_is_replaced_and_closed_to_others() {
    let dir = tempfile::tempdir().unwrap();
    drop(std::os::unix::net::UnixListener::bind(dir.path().join(NAME)).unwrap());
    assert!(matches!(request(dir.path(), &cancel("a")), Err(Error::NoHost)));
    let mode = served(dir.path(), |dir| std::fs::metadata(dir.join(NAME)).unwrap().permissions().mode());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_path_longer_than_an_address_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("d".repeat(150));
    std::fs::create_dir(&long).unwrap();
    assert!(matches!(served(&long, |dir| request(dir, &cancel("nobody"))), Err(Error::Refused(_))));
}

#[test]
fn several_clients_are_served_whatever_one_of_them_sends() {
    let dir = tempfile::tempdir().unwrap();
    served(dir.path(), |dir| {
        let (mut silent, mut wrong, mut good) = (connect(dir), connect(dir), connect(dir));
        assert!(ask(&mut wrong, b"nonsense\n").contains("not a request"));
        assert!(ask(&mut wrong, b"{\"settle\": {\"promise\": \"a.1\"}}\n").contains("either `ok` or `error`"));
        let two = br#"{"settle": {"promise": "a.1", "ok": 1, "error": {"code": "failed", "message": ""}}}"#;
        assert!(ask(&mut wrong, &[two, &b"\n"[..]].concat()).contains("either `ok` or `error`"));
        assert!(ask(&mut good, b"{\"cancel\": \"nobody\"}\n").contains("unknown-execution"));
        assert!(ask(&mut silent, b"{\"cancel\": \"nobody\"}\n").contains("unknown-execution"));
    });
}

#[test]
fn a_line_without_end_ends_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    served(dir.path(), |dir| {
        let mut endless = connect(dir);
        let line = vec![b' '; usize::try_from(LONGEST_LINE).unwrap()];
        assert!(ask(&mut endless, &line).contains("at most"));
        assert_eq!(endless.read_line(&mut String::new()).unwrap_or(0), 0);
    });
}

#[test]
fn a_settlement_is_a_value_or_an_error() {
    let read = |json: &str| serde_json::from_str::<Settle>(json).unwrap().outcome();
    assert_eq!(read(r#"{"promise": "a.1", "ok": null}"#), Ok(Ok("null".to_owned())));
    assert_eq!(read(r#"{"promise": "a.1", "ok": 1.10}"#), Ok(Ok("1.10".to_owned())));
    let error = GuestError::new(ErrorCode::Failed, "no");
    assert_eq!(read(r#"{"promise": "a.1", "error": {"code": "failed", "message": "no"}}"#), Ok(Err(error)));
    assert!(read(r#"{"promise": "a.1"}"#).is_err());
    assert_eq!(one_line("{\"a\":\r\n 1}"), "{\"a\":   1}");
}
