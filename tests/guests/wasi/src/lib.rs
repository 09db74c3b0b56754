//! A guest that reaches for its machine through WASI, as programs in other languages do.

use bindings::wasi::cli::environment::get_environment;
use bindings::wasi::cli::exit::exit;
use bindings::wasi::cli::stderr::get_stderr;
use bindings::wasi::cli::stdout::get_stdout;
use bindings::wasi::clocks::{monotonic_clock, wall_clock};
use bindings::wasi::filesystem::preopens::get_directories;
use bindings::wasi::random::random::get_random_bytes;
use bindings::wasi::sockets::network::IpAddressFamily;
use bindings::wasi::sockets::tcp_create_socket::create_tcp_socket;
use everstep_sdk::{Context, Error};

#[allow(missing_docs, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        path: ["wit/io.wit", "wit/clocks.wit", "wit/random.wit", "wit/filesystem.wit", "wit/sockets.wit", "wit/cli.wit"],
        inline: "
            package test:wasi;
            world machine {
                import wasi:cli/environment@0.2.0;
                import wasi:cli/exit@0.2.0;
                import wasi:cli/stdout@0.2.0;
                import wasi:cli/stderr@0.2.0;
                import wasi:clocks/wall-clock@0.2.0;
                import wasi:clocks/monotonic-clock@0.2.0;
                import wasi:filesystem/preopens@0.2.0;
                import wasi:random/random@0.2.0;
                import wasi:sockets/tcp-create-socket@0.2.0;
            }
        ",
        generate_all,
    });
}

fn millis() -> u64 {
    let now = wall_clock::now();
    now.seconds * 1_000 + u64::from(now.nanoseconds) / 1_000_000
}

/// Reads both clocks around a nap of an hour.
#[everstep_sdk::function]
async fn naps(_ctx: Context) -> Result<(u64, u64, u64), Error> {
    let (wall, monotonic) = (millis(), monotonic_clock::now());
    monotonic_clock::subscribe_duration(3_600_000_000_000).block();
    Ok((wall, millis() - wall, (monotonic_clock::now() - monotonic) / 1_000_000))
}

/// Draws, prints, waits for a human, and prints the rest.
#[everstep_sdk::function]
async fn talks(ctx: Context) -> Result<(Vec<u8>, Vec<u8>, u64), Error> {
    let write = |text: &[u8]| get_stdout().blocking_write_and_flush(text).map_err(|_| Error::failed("stdout"));
    write("zwölf ".as_bytes())?;
    let (before, time) = (get_random_bytes(8), millis());
    get_stderr().blocking_write_and_flush(b"careful").map_err(|_| Error::failed("stderr"))?;
    let _: u64 = ctx.input("go on?").await?;
    write(b"gr\xc3")?;
    write(b"\xbc\xc3")?;
    Ok((before, get_random_bytes(8), time))
}

/// What the machine shows of itself.
#[everstep_sdk::function]
async fn looks_around(_ctx: Context) -> Result<(Vec<(String, String)>, usize, String), Error> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).map(|_| "a socket");
    Ok((get_environment(), get_directories().len(), format!("{socket:?}")))
}

/// Ends its process, which it does not have.
#[everstep_sdk::function]
async fn exits(_ctx: Context) -> Result<(), Error> {
    exit(Err(()));
    Ok(())
}
