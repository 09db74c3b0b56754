//! Workers that reach their server through a network that delays, cuts connections, and loses answers.
//!
//! One place: it is about workers on a server.

use crate::remote_commands::{Ground, Moments, crowd};
use crate::support::{BEHAVIOUR, Calls, Place, eventually, failure, id, life, result, run, soon};
use everstep::clock::{Clock, SystemClock};
use everstep::store::{FailureKind, State};
use everstep::{Component, Error, Everstep, ReplayEnd, Scope, Server};
use everstep_resonate::Manner;
use everstep_resonate::client::{Client, Http, Options};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What happens to some bytes on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    Delay(u64),
    /// The connection is cut, and they are lost.
    Cut,
    /// They are lost, and the connection goes on.
    Lose,
    /// They arrive twice.
    Twice,
    /// They arrive behind those that come next.
    Later,
}

/// Which way some bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Request,
    Answer,
    /// Events of the stream of messages.
    Message,
}

/// Forwards connections to a server, each with two threads.
struct Proxy {
    address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Proxy {
    fn start(server: &str, fate: impl Fn(Way) -> Fate + Send + Sync + 'static) -> Self {
        let server = server.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, over, fate) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)), Arc::new(fate));
        let ends = Arc::clone(&over);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&server)) else { continue };
                let is_stream = Arc::new(AtomicBool::new(false));
                for (from, to, is_answer) in [(&client, &server, false), (&server, &client, true)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (fate, is_stream) = (Arc::clone(&fate), Arc::clone(&is_stream));
                    std::thread::spawn(move || forward(from, to, is_answer, &is_stream, &*fate));
                }
            }
        });
        Self { address, over }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

fn forward(
    mut from: TcpStream,
    mut to: TcpStream,
    is_answer: bool,
    is_stream: &AtomicBool,
    fate: &dyn Fn(Way) -> Fate,
) {
    let (mut buffer, mut late) = (vec![0; 1 << 16], Vec::new());
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !is_answer && buffer.starts_with(b"GET ") {
            is_stream.store(true, Ordering::SeqCst);
        }
        let way = match (is_answer, is_stream.load(Ordering::SeqCst)) {
            (false, _) => Way::Request,
            (true, false) => Way::Answer,
            (true, true) => Way::Message,
        };
        let arriving = &buffer[..length];
        let arrives = match fate(way) {
            Fate::Pass => to.write_all(arriving),
            Fate::Delay(ms) => {
                std::thread::sleep(Duration::from_millis(ms));
                to.write_all(arriving)
            }
            Fate::Lose => Ok(()),
            Fate::Twice => to.write_all(arriving).and_then(|()| to.write_all(arriving)),
            Fate::Later => {
                late.extend_from_slice(arriving);
                continue;
            }
            Fate::Cut => break,
        };
        if arrives.and_then(|()| to.write_all(&std::mem::take(&mut late))).is_err() {
            break;
        }
    }
    // Either end may have closed it already.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// A host that runs what it starts and reaches its server by this URL.
async fn host(url: &str, calls: &Calls, suspends: bool) -> Everstep {
    let builder = Everstep::at(Server::connect(url, None).await.unwrap()).scope(Scope::Started);
    let builder = everstep_tests::place::quick(builder).scope(Scope::Started).lease(Duration::from_secs(4));
    builder
        .keep_warm(if suspends { Duration::ZERO } else { Duration::from_secs(3600) })
        .capability("once", calls.echo())
        .build()
        .unwrap()
}

/// Runs `function` while the answer of that number is lost after its request was delivered. False if there were fewer.
fn survives(place: &Place, function: &str, lost: usize, check: impl Fn(&str)) -> bool {
    let place = place.another();
    let (count, calls) = (Arc::new(AtomicUsize::new(0)), Calls::default());
    let counted = Arc::clone(&count);
    let fate = move |way| match way {
        Way::Answer if counted.fetch_add(1, Ordering::SeqCst) == lost => Fate::Cut,
        _ => Fate::Pass,
    };
    let proxy = Proxy::start(&place.url(), fate);
    life(async {
        let host = host(&proxy.url(), &calls, function == "pauses").await;
        let handle = host.start(run(function, "null")).await.unwrap();
        if function == "pauses" {
            let asked = eventually("the question", async || host.reader().promises().await.ok()?.pop()).await;
            host.settle(&asked.id, Ok("5".into())).await.unwrap();
        }
        let report = soon(&format!("the end, {place}, answer {lost}"), handle.wait()).await.unwrap();
        check(result(&report));
        let replay = host.replay(&id("x"), None, None).await.unwrap();
        assert_eq!(replay.end, ReplayEnd::Repeated, "{place}, answer {lost}");
        assert!(calls.by_step().iter().all(|(_, times)| *times == 1), "{place}, answer {lost}: {:?}", calls.by_step());
    });
    count.load(Ordering::SeqCst) > lost
}

#[test]
fn whichever_answer_is_lost_an_execution_ends_alike() {
    for place in Place::servers(&[Manner::A, Manner::B]) {
        let twenty = |found: &str| assert_eq!(serde_json::from_str::<Vec<Value>>(found).unwrap().len(), 9, "{found}");
        let lost = (0..).step_by(11).take_while(|lost| survives(&place, "twenty", *lost, twenty)).count();
        assert!(lost > 5, "{lost}");
    }
}

#[test]
fn whichever_answer_is_lost_a_suspended_execution_ends_alike() {
    for place in Place::servers(&[Manner::B, Manner::C]) {
        let pauses = |found: &str| assert_eq!(found, "8");
        let lost = (0..).step_by(7).take_while(|lost| survives(&place, "pauses", *lost, pauses)).count();
        assert!(lost > 5, "{lost}");
    }
}

#[test]
fn workers_behind_a_bad_network_end_what_they_began() {
    let ground = Ground::new();
    let moments = std::sync::Mutex::new(Moments::new());
    let cuts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&cuts);
    let proxy = Proxy::start(&ground.url, move |way| {
        let fate = match moments.lock().unwrap().next() % 100 {
            // A message is one part of the stream. Its head, which comes first, is none.
            0..10 if way == Way::Message => Fate::Lose,
            10..20 if way == Way::Message => Fate::Twice,
            20..30 if way == Way::Message => Fate::Later,
            0..3 => Fate::Cut,
            3..20 => Fate::Delay(1),
            20..30 => Fate::Delay(25),
            _ => Fate::Pass,
        };
        counted.fetch_add(usize::from(fate == Fate::Cut), Ordering::SeqCst);
        fate
    });
    let url = proxy.url();
    let workers = [(); 2].map(|()| ground.worker_at(&url, &ground.desk.component, &["--keep-warm", "0ms"]));
    let names = crowd(8);
    ground.submit(names.iter().map(|name| ground.errand(name, 300)).collect());
    for name in &names {
        ground.answer(name);
    }
    for name in &names {
        ground.until(name, State::Completed);
        ground.check(name);
    }
    assert!(cuts.load(Ordering::SeqCst) > 5);
    drop(workers);
}

#[test]
fn a_worker_that_reads_slowly_does_not_halt_what_is_upgraded_meanwhile() {
    let mut bytes = everstep_tests::guests::fixture("behaviour").unwrap();
    bytes.extend([0, 5, 4, b'n', b'e', b'x', b't']);
    let next = Component::from(bytes);
    for place in Place::servers(&[Manner::A, Manner::B, Manner::C]) {
        let (proxy, calls) = (Proxy::start(&place.url(), |_| Fate::Delay(10)), Calls::default());
        life(async {
            let there = async |url: &str, scope| {
                let host = Everstep::at(Server::connect(url, None).await.unwrap()).component(BEHAVIOUR.clone());
                let host = everstep_tests::place::quick(host).component(next.clone()).keep_warm(Duration::ZERO);
                host.capability("once", calls.echo()).scope(scope).build().unwrap()
            };
            let _worker = there(&proxy.url(), Scope::Everything).await;
            let desk = there(&place.url(), Scope::Nothing).await;
            let handle = desk.submit(run("pauses", "null")).await.unwrap();
            let asked = eventually("the question", async || desk.reader().promises().await.ok()?.pop()).await;
            for component in [&next, &*BEHAVIOUR].into_iter().cycle().take(12) {
                eventually("the upgrade", async || match desk.upgrade(&id("x"), component).await {
                    Ok(replay) => Some(replay),
                    Err(Error::Runs(_)) => None,
                    Err(error) => panic!("{place}: {error}"),
                })
                .await;
            }
            desk.settle(&asked.id, Ok("5".into())).await.unwrap();
            let report = soon(&format!("the end, {place}"), handle.wait()).await.unwrap();
            assert_eq!(report.state, State::Completed, "{place}: {report:?}");
        });
    }
}

/// The clock of a machine that is set wrong.
struct Wrong(i64);

impl Clock for Wrong {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms().saturating_add_signed(self.0)
    }

    fn sleep_until(&self, deadline_ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        SystemClock.sleep_until(deadline_ms.saturating_add_signed(-self.0))
    }
}

/// A host on a machine whose clock is so many minutes ahead.
async fn host_ahead(url: &str, minutes: i64, scope: Scope) -> Everstep {
    let clock = Arc::new(Wrong(minutes * 60_000));
    let http = Arc::new(Http::new(url, None).unwrap().with_clock(Arc::clone(&clock) as _));
    let server = Server::over(Client::connect(http, Options::default()).await.unwrap());
    let builder = everstep_tests::place::quick(Everstep::at(server).component(BEHAVIOUR.clone()));
    builder.scope(scope).clock(clock).keep_warm(Duration::ZERO).build().unwrap()
}

#[test]
fn clocks_that_are_minutes_apart_change_no_result() {
    let clocks = [(Manner::A, 0, 7), (Manner::B, -7, 7), (Manner::C, 7, -7), (Manner::A, -7, 0)];
    let places = clocks.map(|(manner, desk, worker)| (Place::servers(&[manner]).next(), desk, worker));
    for (place, desk, worker) in places {
        let Some(place) = place else { return };
        life(async {
            let desk = host_ahead(&place.url(), desk, Scope::Nothing).await;
            let _worker = host_ahead(&place.url(), worker, Scope::Everything).await;
            let runs = [
                run("only_sleeps", "[30,900]").with_id(id("sleeps")),
                run("races_timers", "null").with_id(id("races")),
                run("same", "[1]").with_id(id("same")).within(Duration::from_secs(30)),
            ];
            for run in runs {
                let what = format!("{place} {}", run.id);
                let report = soon(&what, desk.submit(run).await.unwrap().wait()).await.unwrap();
                assert_eq!(report.state, State::Completed, "{what}: {report:?}");
            }
            // A deadline is neither there at once nor minutes away.
            let asked = SystemClock.now_ms();
            let waits = run("waits_for_ever", "null").with_id(id("waits")).within(Duration::from_secs(3));
            let report = soon("the deadline", desk.submit(waits).await.unwrap().wait()).await.unwrap();
            assert_eq!(failure(&report).0, FailureKind::TimedOut, "{report:?}");
            assert!(SystemClock.now_ms() >= asked + 2_000);
        });
    }
}
