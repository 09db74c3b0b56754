//! `everstep build`.

use super::{Exit, Outcome, print};
use everstep::guest_build;
use std::path::PathBuf;

/// Build a crate folder into a component
///
/// A crate with `crate-type = ["cdylib"]` is a guest, whose functions it exports; any other is a program with `main`, built for WASI. This needs a Rust toolchain that compiles to WebAssembly; if there is none, the message says how to install one.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep build examples/hello/guest\n  everstep build . -o hello.wasm")]
pub(crate) struct Args {
    /// The crate folder
    dir: PathBuf,
    /// Where to write the component [default: DIR/target/everstep/{crate}.wasm]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let built = guest_build::build(&args.dir, args.output.as_deref())?;
    print(&format!("{} ({} bytes)\n", everstep::visible::path(&built.component), built.size))?;
    Ok(Exit::Done)
}
