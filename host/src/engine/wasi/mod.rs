//! The virtual WASI 0.2 of guests that import it: everything that a guest could observe of the machine is recorded or
//! refused.
//!
//! Ours, over [`WasiHost`]: `clocks.rs` (recorded time, durable timers), `random.rs` (the recorded seed), `cli.rs`
//! (environment, arguments, output to the console, exit), `stdin.rs` (questions for lines of input), `io.rs` (streams and polling,
//! without any real waiting), `sockets.rs` (creation and name lookup refuse), `files.rs` and `file_streams.rs` (the file system over
//! [`crate::vfs`]), `http/` (requests, as durable steps). The engine's own, over an empty context: the rest of sockets, for which no guest can obtain handles, and the terminals,
//! which do not exist.

mod cli;
mod clocks;
mod file_streams;
mod files;
pub(crate) mod http;
mod io;
mod random;
mod sockets;
mod stdin;
#[cfg(test)]
mod tests;

pub(crate) use cli::Exit;
pub(crate) use files::Files;
pub(crate) use stdin::Line;

use crate::guest_error::GuestError;
use crate::vfs::Disk;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::p2::bindings as p2;
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_io::bindings::wasi::io as p2_io;

/// The durable steps that the virtual WASI needs from the store's data.
///
/// An error of any of these ends the guest.
pub(crate) trait WasiHost: Disk + http::Web + Send + 'static {
    /// The state of the virtual WASI.
    fn wasi(&mut self) -> &mut VirtualWasi;
    /// Nanoseconds since the Unix epoch, recorded.
    fn now_ns(&mut self) -> wasmtime::Result<u64>;
    /// `len` random bytes of the recorded seed; refuses more than the policy allows at once.
    fn random(&mut self, len: u64) -> wasmtime::Result<Vec<u8>>;
    /// Prints whole characters: `bytes` is UTF-8 and not empty.
    fn print(&mut self, stderr: bool, bytes: &[u8]) -> wasmtime::Result<()>;
    /// Starts a durable timer and returns its step number.
    fn sleep_ns(&mut self, ns: u64) -> wasmtime::Result<u64>;
    /// Waits until one of the timers, questions or requests is settled, delivers those that are, and returns them; the list is not empty
    /// and names none twice.
    fn wait_any(&mut self, timers: &[u64]) -> impl Future<Output = wasmtime::Result<Vec<u64>>> + Send;
    /// Cancels a timer that was not delivered.
    fn cancel(&mut self, timer: u64) -> wasmtime::Result<()>;
    /// Asks for the next line of input and returns the step number of the question, or the reason that it may not be asked.
    fn ask_line(&mut self) -> wasmtime::Result<Result<u64, String>>;
    /// The answer to a question that has been delivered.
    fn line(&mut self, question: u64) -> Line;
    /// Whether that timer, question or request has been delivered.
    fn is_settled(&mut self, timer: u64) -> bool;
    /// The environment that the policy grants.
    fn environment(&mut self) -> Vec<(String, String)>;
    /// An error of a file that the interface cannot report, so that the guest ends with it.
    fn unhandled(error: GuestError) -> wasmtime::Error;
    /// The arguments of the program, its name first.
    fn arguments(&mut self) -> Vec<String>;
}

/// The state of one guest's virtual WASI.
pub(crate) struct VirtualWasi {
    table: ResourceTable,
    context: WasiCtx,
    /// The timer behind each pollable that has one.
    timers: HashMap<u32, u64>,
    /// The console stream behind each output stream.
    outputs: HashMap<u32, io::Console>,
    /// The file behind each stream of one.
    file_streams: HashMap<u32, file_streams::FileStream>,
    files: Files,
    stdin: stdin::Stdin,
    http: http::Http,
    /// The polls that waited for nothing since the guest last read, wrote, or started a timer or a request.
    fruitless_polls: u32,
    /// The first bytes of an incomplete character, per console stream.
    partial: io::Partial,
    /// The latest time that was returned.
    now_ns: u64,
    /// When the guest first asked for the monotonic time.
    origin_ns: Option<u64>,
}

/// The most handles of a guest; a leak beyond them is an error of the guest and does not use up the host's memory.
const MAX_HANDLES: usize = 10_000;

/// The linked interfaces, without their version.
pub(super) const INTERFACES: [&str; 29] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];
/// The versions that are compatible with the one that is linked.
pub(super) const VERSION: &str = "0.2.";
/// The version that the engine's bindings and `http.wit` have.
const LINKED: &str = "0.2.12";

/// The name under which the engine links an interface.
fn linked(interface: &str) -> String {
    format!("{interface}@{LINKED}")
}

/// Links every interface of [`INTERFACES`]; for components that import WASI.
pub(crate) fn add_to_linker<T: WasiHost>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    add_recorded(linker)?;
    add_refusing(linker)
}

/// Links the interfaces whose calls are recorded.
fn add_recorded<T: WasiHost>(l: &mut Linker<T>) -> wasmtime::Result<()> {
    p2::clocks::wall_clock::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2::clocks::monotonic_clock::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2::random::random::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2::random::insecure::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2::random::insecure_seed::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2::cli::environment::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2::cli::exit::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2::cli::stdin::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2::cli::stdout::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2::cli::stderr::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2_io::error::add_to_linker::<T, HasTable>(l, |t| &mut t.wasi().table)?;
    p2_io::poll::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2_io::streams::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2::filesystem::preopens::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2::filesystem::types::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    http::add_to_linker(l)?;
    files::drop_waits(l)?;
    file_streams::may_wait(l)
}

/// Links the interfaces that refuse every call.
fn add_refusing<T: WasiHost>(l: &mut Linker<T>) -> wasmtime::Result<()> {
    p2::cli::terminal_input::add_to_linker::<T, WasiCli>(l, |t| t.wasi().cli())?;
    p2::cli::terminal_output::add_to_linker::<T, WasiCli>(l, |t| t.wasi().cli())?;
    p2::cli::terminal_stdin::add_to_linker::<T, WasiCli>(l, |t| t.wasi().cli())?;
    p2::cli::terminal_stdout::add_to_linker::<T, WasiCli>(l, |t| t.wasi().cli())?;
    p2::cli::terminal_stderr::add_to_linker::<T, WasiCli>(l, |t| t.wasi().cli())?;
    let options = p2::sockets::network::LinkOptions::default();
    p2::sockets::network::add_to_linker::<T, WasiSockets>(l, &options, |t| t.wasi().sockets())?;
    p2::sockets::instance_network::add_to_linker::<T, WasiSockets>(l, |t| t.wasi().sockets())?;
    p2::sockets::tcp::add_to_linker::<T, WasiSockets>(l, |t| t.wasi().sockets())?;
    p2::sockets::udp::add_to_linker::<T, WasiSockets>(l, |t| t.wasi().sockets())?;
    p2::sockets::tcp_create_socket::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2::sockets::udp_create_socket::add_to_linker::<T, HasVirtual<T>>(l, recorded)?;
    p2::sockets::ip_name_lookup::add_to_linker::<T, HasVirtual<T>>(l, recorded)
}

/// Prints characters that a guest never completed; for the end of an execution.
pub(crate) fn finish_output<T: WasiHost>(host: &mut T) -> wasmtime::Result<()> {
    io::finish(host)
}

/// Saves the files that a guest has left open; for the end of an execution.
pub(crate) async fn finish_files<T: WasiHost>(host: &mut T) -> wasmtime::Result<()> {
    files::finish(host).await
}

/// The data of the host, on which this module implements WASI.
struct Virtual<'a, T>(&'a mut T);

fn recorded<T: WasiHost>(host: &mut T) -> Virtual<'_, T> {
    Virtual(host)
}

struct HasVirtual<T>(std::marker::PhantomData<T>);

impl<T: WasiHost> HasData for HasVirtual<T> {
    type Data<'a> = Virtual<'a, T>;
}

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

impl VirtualWasi {
    /// A WASI with nothing open, over these files.
    pub(crate) fn new(files: Files) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let mut context = WasiCtx::builder();
        context.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        Self {
            table,
            context: context.build(),
            timers: HashMap::new(),
            outputs: HashMap::new(),
            file_streams: HashMap::new(),
            files,
            stdin: stdin::Stdin::default(),
            http: http::Http::default(),
            fruitless_polls: 0,
            partial: io::Partial::default(),
            now_ns: 0,
            origin_ns: None,
        }
    }
}

impl VirtualWasi {
    /// The files of the guest.
    fn files(&self) -> &Files {
        &self.files
    }

    /// The count of bytes that the guest's requests have in memory, which goes on.
    pub(crate) fn held_by_requests(&self) -> Arc<AtomicU64> {
        self.http.held()
    }

    /// The latest time that the guest has read, in nanoseconds since the Unix epoch.
    pub(crate) fn told_ns(&self) -> Option<u64> {
        (self.now_ns > 0).then_some(self.now_ns)
    }
}

impl WasiView for VirtualWasi {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.context, table: &mut self.table }
    }
}
