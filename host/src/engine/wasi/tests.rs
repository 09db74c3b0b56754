//! The virtual WASI over a scripted host, without a guest.

use super::http::{ErrorCode as HttpError, Incoming, Outgoing, Web};
use super::*;
use crate::engine::{Engines, Options};
use crate::id::Digest;
use crate::vfs::{self, Root};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::cli::{environment, exit, stderr, stdin, stdout};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::{instance_network, ip_name_lookup, tcp_create_socket, udp_create_socket};
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host as _, HostPollable as _};
use wasmtime_wasi_io::bindings::wasi::io::streams::{HostInputStream as _, HostOutputStream as _};
use wasmtime_wasi_io::streams::StreamError;

/// A host whose answers are written down, and that writes down what it was asked.
pub(super) struct Script {
    pub(super) wasi: VirtualWasi,
    clock: VecDeque<u64>,
    timers: Vec<u64>,
    pub(super) settled: HashSet<u64>,
    /// What the next waits deliver.
    pub(super) deliveries: VecDeque<Vec<u64>>,
    pub(super) waits: Vec<Vec<u64>>,
    canceled: Vec<u64>,
    printed: Vec<(bool, String)>,
    /// The answers to the questions for lines, in the order of their steps, which follow those of the timers.
    lines: VecDeque<Line>,
    /// The questions that were asked.
    asked: Vec<u64>,
    random: u8,
    /// Bytes of memory that are left.
    pub(super) room: u64,
    /// The requests that were sent, whose steps begin at 200.
    pub(super) requests: Vec<Outgoing>,
    /// Their responses.
    pub(super) responses: HashMap<u64, Result<Incoming, HttpError>>,
    pub(super) given_up: Vec<u64>,
}

impl Script {
    pub(super) fn new() -> Self {
        Self {
            wasi: VirtualWasi::new(Files::default()),
            clock: VecDeque::new(),
            timers: Vec::new(),
            settled: HashSet::new(),
            deliveries: VecDeque::new(),
            waits: Vec::new(),
            canceled: Vec::new(),
            printed: Vec::new(),
            lines: VecDeque::new(),
            asked: Vec::new(),
            random: 0,
            room: 1 << 20,
            requests: Vec::new(),
            responses: HashMap::new(),
            given_up: Vec::new(),
        }
    }
}

impl WasiHost for Script {
    fn wasi(&mut self) -> &mut VirtualWasi {
        &mut self.wasi
    }
    fn now_ns(&mut self) -> wasmtime::Result<u64> {
        self.clock.pop_front().ok_or_else(|| wasmtime::format_err!("the clock was not expected to be read"))
    }
    fn random(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        wasmtime::ensure!(len <= 1024, "too many random bytes at once");
        Ok((0..len)
            .map(|_| {
                self.random += 1;
                self.random
            })
            .collect())
    }
    fn print(&mut self, stderr: bool, bytes: &[u8]) -> wasmtime::Result<()> {
        self.printed.push((stderr, String::from_utf8(bytes.to_vec())?));
        Ok(())
    }
    fn sleep_ns(&mut self, ns: u64) -> wasmtime::Result<u64> {
        self.timers.push(ns);
        Ok(self.timers.len() as u64 - 1)
    }
    async fn wait_any(&mut self, timers: &[u64]) -> wasmtime::Result<Vec<u64>> {
        self.waits.push(timers.to_vec());
        let delivered = self.deliveries.pop_front().unwrap_or_default();
        self.settled.extend(&delivered);
        Ok(delivered)
    }
    fn cancel(&mut self, timer: u64) -> wasmtime::Result<()> {
        self.canceled.push(timer);
        Ok(())
    }
    fn ask_line(&mut self) -> wasmtime::Result<Result<u64, String>> {
        let question = 100 + self.asked.len() as u64;
        self.asked.push(question);
        Ok(Ok(question))
    }
    fn line(&mut self, _: u64) -> Line {
        self.lines.pop_front().unwrap()
    }
    fn is_settled(&mut self, timer: u64) -> bool {
        self.settled.contains(&timer)
    }
    fn environment(&mut self) -> Vec<(String, String)> {
        vec![("LANG".to_owned(), "C".to_owned())]
    }
    fn arguments(&mut self) -> Vec<String> {
        vec!["prog".to_owned(), "-x".to_owned()]
    }
    fn unhandled(error: GuestError) -> wasmtime::Error {
        wasmtime::format_err!("{error}")
    }
}

/// A request to `/denied` is denied.
impl Web for Script {
    fn may_set(&self, name: &str) -> bool {
        name != "upgrade"
    }
    fn most_request(&self) -> u64 {
        1000
    }
    fn fetch(&mut self, request: Outgoing) -> wasmtime::Result<Result<u64, HttpError>> {
        if request.url.ends_with("/denied") {
            return Ok(Err(HttpError::HttpRequestDenied));
        }
        self.requests.push(request);
        Ok(Ok(199 + self.requests.len() as u64))
    }
    fn response(&mut self, step: u64) -> Result<Incoming, HttpError> {
        self.responses.remove(&step).unwrap()
    }
    async fn give_up(&mut self, step: u64) -> wasmtime::Result<()> {
        self.given_up.push(step);
        Ok(())
    }
}

/// No folder is granted.
impl Disk for Script {
    fn roots(&self) -> Vec<Root> {
        Vec::new()
    }
    fn room(&mut self) -> u64 {
        self.room.saturating_sub(self.wasi.http.held().load(Ordering::SeqCst))
    }
    fn told_ns(&mut self) -> Option<u64> {
        None
    }
    fn kept(&self, _: &str) -> Option<Arc<Vec<u8>>> {
        None
    }
    fn is_over_quota(&self, _: &[(&str, u64)]) -> bool {
        false
    }
    async fn refuse(&mut self, _: &str, _: u64) -> vfs::Result<()> {
        Err(vfs::Errno::Denied.into())
    }
    async fn look(&mut self, _: &str) -> vfs::Result<vfs::Look> {
        Err(vfs::Errno::Denied.into())
    }
    async fn list(&mut self, _: &str) -> vfs::Result<Vec<vfs::Entry>> {
        Err(vfs::Errno::Denied.into())
    }
    async fn read(&mut self, _: &str, _: u64, _: u64) -> vfs::Result<Vec<u8>> {
        Err(vfs::Errno::Denied.into())
    }
    async fn save(&mut self, _: &str, _: vfs::Save) -> vfs::Result<Option<vfs::Status>> {
        Err(vfs::Errno::Denied.into())
    }
    async fn create(&mut self, _: &str, _: u64) -> vfs::Result<Option<vfs::Status>> {
        Err(vfs::Errno::Denied.into())
    }
    async fn make_folder(&mut self, _: &str) -> vfs::Result<()> {
        Err(vfs::Errno::Denied.into())
    }
    async fn rename(&mut self, _: &str, _: &str) -> vfs::Result<()> {
        Err(vfs::Errno::Denied.into())
    }
    async fn remove(&mut self, _: &str, _: vfs::Kind) -> vfs::Result<()> {
        Err(vfs::Errno::Denied.into())
    }
    async fn set_times(&mut self, _: &str, _: vfs::Times) -> vfs::Result<vfs::Status> {
        Err(vfs::Errno::Denied.into())
    }
}

#[test]
fn the_version_that_is_linked_is_that_of_the_description() {
    let wit = include_str!("http/http.wit");
    let versions: Vec<&str> = wit.split('@').skip(1).filter_map(|rest| rest.get(..LINKED.len())).collect();
    assert!(versions.len() > 5 && versions.iter().all(|version| *version == LINKED), "{versions:?}");
    assert!(LINKED.starts_with(VERSION));
    // An interface of another version would be another one to the engine.
    let engine = wasmtime::Engine::default();
    let mut linker = wasmtime::component::Linker::<Script>::new(&engine);
    add_to_linker(&mut linker).unwrap();
    for (interface, function) in
        [("wasi:filesystem/types", "[method]descriptor.sync"), ("wasi:io/streams", "[method]input-stream.read")]
    {
        let mut found = linker.instance(&linked(interface)).unwrap();
        let again = found.func_wrap(function, |_: wasmtime::StoreContextMut<'_, Script>, (): ()| Ok(()));
        assert!(again.is_err(), "{function} is linked under this name");
    }
}

/// Another handle to the same resource, as a guest passes it to a call.
pub(super) fn lend<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(resource.rep())
}

#[test]
fn clocks_read_the_recorded_time_and_never_go_back() {
    let mut host = Script::new();
    host.clock.extend([3_000_000_007, 2_000_000_000, 5_000_000_000]);
    let mut wasi = Virtual(&mut host);
    let now = wall_clock::Host::now(&mut wasi).unwrap();
    assert_eq!((now.seconds, now.nanoseconds), (3, 7));
    assert_eq!(monotonic_clock::Host::now(&mut wasi).unwrap(), 0);
    assert_eq!(monotonic_clock::Host::now(&mut wasi).unwrap(), 1_999_999_993);
    assert_eq!(monotonic_clock::Host::resolution(&mut wasi).unwrap(), 1_000_000);
}

#[tokio::test]
async fn a_timer_is_waited_for_in_the_journal_and_never_in_real_time() {
    let mut host = Script::new();
    host.clock.push_back(1_000);
    host.deliveries.extend([vec![1], vec![0]]);
    let mut wasi = Virtual(&mut host);
    let hour = monotonic_clock::Host::subscribe_duration(&mut wasi, 3_600_000_000_000).unwrap();
    let instant = monotonic_clock::Host::subscribe_instant(&mut wasi, 1_500).unwrap();
    assert!(!wasi.ready(lend(&hour)).await.unwrap());
    let ready = wasi.poll(vec![lend(&instant), lend(&hour), lend(&instant)]).await.unwrap();
    assert_eq!(ready, [0, 2]);
    assert!(wasi.ready(lend(&instant)).await.unwrap());
    wasi.block(lend(&instant)).await.unwrap();
    wasi.block(lend(&hour)).await.unwrap();
    poll_drop(&mut wasi, hour);
    poll_drop(&mut wasi, instant);
    assert!(host.wasi.timers.is_empty() && host.wasi.table.is_empty());
    assert_eq!(host.timers, [3_600_000_000_000, 1_500]);
    assert_eq!(host.waits, [vec![0, 1], vec![0]]);
    assert_eq!(host.canceled, [0; 0], "both timers were delivered");
}

#[test]
fn a_timer_that_nobody_waits_for_any_more_is_given_up() {
    let mut host = Script::new();
    let mut wasi = Virtual(&mut host);
    let [first, second] = [1, 2].map(|ns| monotonic_clock::Host::subscribe_duration(&mut wasi, ns).unwrap());
    poll_drop(&mut wasi, second);
    poll_drop(&mut wasi, first);
    assert_eq!(host.canceled, [1, 0]);
}

fn poll_drop(wasi: &mut Virtual<'_, Script>, pollable: Resource<wasmtime_wasi_io::poll::DynPollable>) {
    wasmtime_wasi_io::bindings::wasi::io::poll::HostPollable::drop(wasi, pollable).unwrap();
}

#[tokio::test]
async fn output_is_always_ready_so_that_a_poll_with_a_timer_returns_at_once() {
    let mut host = Script::new();
    let mut wasi = Virtual(&mut host);
    let out = stdout::Host::get_stdout(&mut wasi).unwrap();
    let writable = streams_subscribe(&mut wasi, &out);
    let timer = monotonic_clock::Host::subscribe_duration(&mut wasi, u64::MAX).unwrap();
    let ready = wasi.poll(vec![lend(&timer), writable]).await.unwrap();
    assert_eq!(ready, [1]);
    assert!(wasi.poll(Vec::new()).await.is_err());
    assert!(host.waits.is_empty());
}

#[tokio::test]
async fn standard_input_is_asked_for_line_by_line_when_it_is_read() {
    let mut host = Script::new();
    host.deliveries.extend([vec![100], vec![101], vec![102], vec![103]]);
    let failed = Line::Failed("a line is not UTF-8".to_owned());
    host.lines.extend([Line::Text("grün".to_owned()), Line::Text(String::new()), failed, Line::End]);
    let mut wasi = Virtual(&mut host);
    let input = stdin::Host::get_stdin(&mut wasi).unwrap();
    let again = stdin::Host::get_stdin(&mut wasi).unwrap();
    assert!(wasi.0.asked.is_empty(), "nothing was read");
    assert_eq!(wasi.blocking_read(lend(&input), 0).await.unwrap(), b"");
    assert_eq!(wasi.read_any(&input, 10, false).await.unwrap(), b"", "the line is still to come");
    assert_eq!(wasi.blocking_read(lend(&input), 3).await.unwrap(), b"gr\xc3");
    assert_eq!(wasi.read_any(&again, 10, false).await.unwrap(), b"\xbcn\n");
    let readable = wasmtime_wasi_io::bindings::wasi::io::streams::HostInputStream::subscribe(&mut wasi, lend(&input));
    let readable = readable.unwrap();
    wasi.block(lend(&readable)).await.unwrap();
    assert_eq!(wasi.blocking_skip(lend(&input), 10).await.unwrap(), 1, "an empty line");
    assert!(matches!(wasi.blocking_read(lend(&input), 10).await, Err(StreamError::LastOperationFailed(_))));
    assert!(matches!(wasi.blocking_read(lend(&input), 10).await, Err(StreamError::Closed)));
    assert!(matches!(wasi.read_any(&again, 10, false).await, Err(StreamError::Closed)));
    assert_eq!(wasi.poll(vec![lend(&readable)]).await.unwrap(), [0], "the end can be read");
    poll_drop(&mut wasi, readable);
    assert_eq!((host.asked.len(), host.waits), (4, vec![vec![100], vec![101], vec![102], vec![103]]));
    assert_eq!(host.canceled, [0; 0]);
}

#[tokio::test]
async fn a_guest_that_polls_for_what_is_ready_sees_the_rest_in_time() {
    let mut host = Script::new();
    host.deliveries.push_back(vec![0]);
    let mut wasi = Virtual(&mut host);
    let out = stdout::Host::get_stdout(&mut wasi).unwrap();
    let writable = streams_subscribe(&mut wasi, &out);
    let timer = monotonic_clock::Host::subscribe_duration(&mut wasi, u64::MAX).unwrap();
    for _ in 1..io::FRUITLESS {
        assert_eq!(wasi.poll(vec![lend(&timer), lend(&writable)]).await.unwrap(), [1]);
    }
    wasi.write_any(&out, b"busy", 9).await.unwrap();
    for _ in 1..io::FRUITLESS {
        assert_eq!(wasi.poll(vec![lend(&writable), lend(&timer)]).await.unwrap(), [0]);
    }
    assert!(wasi.0.waits.is_empty());
    assert_eq!(wasi.poll(vec![lend(&writable), lend(&timer)]).await.unwrap(), [0, 1]);
    for _ in 0..=io::FRUITLESS {
        assert_eq!(wasi.poll(vec![lend(&writable), lend(&timer)]).await.unwrap(), [0, 1], "there is no other");
    }
    assert_eq!(host.waits, [[0]]);
}

fn streams_subscribe(
    wasi: &mut Virtual<'_, Script>,
    out: &Resource<wasmtime_wasi_io::streams::DynOutputStream>,
) -> Resource<wasmtime_wasi_io::poll::DynPollable> {
    wasmtime_wasi_io::bindings::wasi::io::streams::HostOutputStream::subscribe(wasi, lend(out)).unwrap()
}

#[tokio::test]
async fn output_goes_to_the_console_in_whole_characters() {
    let mut host = Script::new();
    let mut wasi = Virtual(&mut host);
    let out = stdout::Host::get_stdout(&mut wasi).unwrap();
    let again = stdout::Host::get_stdout(&mut wasi).unwrap();
    let err = stderr::Host::get_stderr(&mut wasi).unwrap();
    wasi.write_any(&out, b"gr\xc3", 9).await.unwrap();
    wasi.flush(lend(&out)).unwrap();
    wasi.write_any(&err, b"oh", 9).await.unwrap();
    wasi.blocking_write_and_flush(lend(&again), b"\xbc\xc3\x9f \xe2\x82".to_vec()).await.unwrap();
    wasi.blocking_write_zeroes_and_flush(lend(&err), 2).await.unwrap();
    let too_much = wasi.check_write(lend(&out)).unwrap() + 1;
    assert!(wasi.write_any(&out, &vec![b'x'; too_much as usize], too_much - 1).await.is_err());
    assert!(wasi.write_zeroes_any(&out, u64::MAX, u64::MAX).await.is_err());
    assert!(wasi.blocking_write_and_flush(out, vec![b'x'; 4097]).await.is_err());
    finish_output(&mut host).unwrap();
    let printed: Vec<_> = host.printed.iter().map(|(stderr, text)| (*stderr, text.as_str())).collect();
    assert_eq!(printed, [(false, "gr"), (true, "oh"), (false, "üß "), (true, "\0\0"), (false, "\u{fffd}")]);
}

#[test]
fn every_door_to_randomness_leads_to_the_recorded_seed() {
    let mut host = Script::new();
    let mut wasi = Virtual(&mut host);
    assert_eq!(random::Host::get_random_bytes(&mut wasi, 2).unwrap(), [1, 2]);
    assert_eq!(insecure::Host::get_insecure_random_bytes(&mut wasi, 1).unwrap(), [3]);
    random::Host::get_random_u64(&mut wasi).unwrap();
    insecure::Host::get_insecure_random_u64(&mut wasi).unwrap();
    insecure_seed::Host::insecure_seed(&mut wasi).unwrap();
    assert!(random::Host::get_random_bytes(&mut wasi, u64::MAX).is_err());
    assert_eq!(host.random, 3 + 8 + 8 + 16);
}

#[tokio::test]
async fn sockets_and_names_are_refused_and_no_folder_is_open() {
    let mut host = Script::new();
    let mut wasi = Virtual(&mut host);
    let denied = ErrorCode::AccessDenied;
    let tcp = tcp_create_socket::Host::create_tcp_socket(&mut wasi, IpAddressFamily::Ipv4).err().unwrap();
    let udp = udp_create_socket::Host::create_udp_socket(&mut wasi, IpAddressFamily::Ipv6).await.err().unwrap();
    let network = instance_network::Host::instance_network(&mut wasi.0.wasi().sockets()).unwrap();
    let lookup = ip_name_lookup::Host::resolve_addresses(&mut wasi, network, "127.0.0.1".to_owned()).err().unwrap();
    for error in [tcp, udp, lookup] {
        assert_eq!(error.downcast().unwrap(), denied);
    }
    assert!(preopens::Host::get_directories(&mut wasi).unwrap().is_empty());
}

#[test]
fn the_surroundings_are_those_of_the_policy() {
    let mut host = Script::new();
    let mut wasi = Virtual(&mut host);
    assert_eq!(environment::Host::get_environment(&mut wasi).unwrap(), [("LANG".to_owned(), "C".to_owned())]);
    assert_eq!(environment::Host::get_arguments(&mut wasi).unwrap(), ["prog", "-x"]);
    assert_eq!(environment::Host::initial_cwd(&mut wasi).unwrap(), None);
    let ended = exit::Host::exit(&mut wasi, Err(())).unwrap_err();
    assert_eq!(ended.downcast_ref(), Some(&super::cli::Exit { code: 1 }));
    assert_eq!(ended.to_string(), "the guest called exit(1); a durable function ends by returning");
}

#[test]
fn leaked_handles_are_an_error_at_the_cap() {
    let mut host = Script::new();
    let mut wasi = Virtual(&mut host);
    let leaked = (0..).take_while(|_| stdout::Host::get_stdout(&mut wasi).is_ok()).count();
    assert_eq!(leaked, MAX_HANDLES);
    assert!(monotonic_clock::Host::subscribe_duration(&mut wasi, 1).is_err());
    assert!(host.timers.is_empty());
}

#[test]
fn every_interface_of_the_list_is_linked() {
    let imports: String = INTERFACES.iter().map(|name| format!("(import \"{name}@0.2.0\" (instance))")).collect();
    let guest = r#"(instance $i) (export "everstep:host/guest@0.1.0" (instance $i))"#;
    let bytes = wat::parse_str(format!("(component {imports} {guest})")).unwrap();
    let engines = Engines::new(Options { pool: 1, ..Options::default() }).unwrap();
    let loaded = engines.load(&bytes.clone().into(), Digest::of(&bytes), 1 << 20).unwrap();
    assert!(loaded.imports_wasi);
    let mut linker = Linker::<Script>::new(&loaded.engine);
    add_to_linker(&mut linker).unwrap();
    linker.instantiate_pre(&loaded.component).unwrap();
}
