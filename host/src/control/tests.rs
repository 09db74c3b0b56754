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

/// More clients than a host serves at once.
const CROWD: usize = 200;

/// Waits less long than a host puts up with a silent client.
fn connect(dir: &Path) -> BufReader<UnixStream> {
    let stream = UnixStream::connect(Address::of(dir).unwrap().path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    BufReader::new(stream)
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

/// A request for a schedule whose component lies there.
fn schedule(component: &Path) -> Vec<u8> {
    let policy = Policy::none().canonical();
    let (id, cron, function, args) = ["s", "* * * * *", "f", "null"].map(str::to_owned).into();
    let component = component.to_owned();
    let schedule = Schedule { id, cron, component, policy, function, args, catches_up: false, timeout_ms: None };
    let mut line = serde_json::to_vec(&Request::Schedule(Box::new(schedule))).unwrap();
    line.push(b'\n');
    line
}

#[test]
fn a_component_that_is_no_file_is_refused_and_the_host_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    served(dir.path(), move |dir| {
        // More than the host has threads: each would hold one.
        let mut asking: Vec<_> = (0..8).map(|_| connect(dir)).collect();
        for (client, file) in
            asking.iter_mut().zip([&*pipe, Path::new("/dev/zero"), Path::new("/dev/tty"), dir].repeat(2))
        {
            client.get_mut().write_all(&schedule(file)).unwrap();
        }
        for client in &mut asking {
            let mut answer = String::new();
            client.read_line(&mut answer).unwrap();
            assert!(answer.contains("cannot read the component"), "{answer}");
        }
        assert!(ask(&mut connect(dir), b"{\"cancel\": \"nobody\"}\n").contains("unknown-execution"));
    });
}

#[test]
fn clients_that_say_nothing_or_do_not_listen_keep_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    served(dir.path(), |dir| {
        let request = &b"{\"cancel\": \"nobody\"}\n"[..];
        let mut earlier = connect(dir);
        assert!(ask(&mut earlier, request).contains("unknown-execution"));
        let mut crowd: Vec<_> = (0..CROWD).map(|_| connect(dir)).collect();
        for (number, client) in crowd.iter_mut().enumerate() {
            // One says nothing, one says half, one asks without end and never reads.
            let _ = match number % 3 {
                0 => Ok(()),
                1 => client.get_mut().write_all(b"{\"cancel\": "),
                _ => {
                    client.get_mut().set_nonblocking(true).unwrap();
                    client.get_mut().write_all(&request.repeat(1 << 14))
                }
            };
        }
        for _ in 0..8 {
            assert!(ask(&mut connect(dir), request).contains("unknown-execution"));
        }
        assert_eq!(
            earlier.read_line(&mut String::new()).unwrap_or(0),
            0,
            "the one that was silent for longest is let go"
        );
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
