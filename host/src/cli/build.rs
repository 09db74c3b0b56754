//! `everstep build`.

use super::{Exit, Outcome, print};
use everstep::guest_build;
use std::path::PathBuf;

/// Build a component from a crate folder, or from the module of a program
///
/// A crate with `crate-type = ["cdylib"]` is a guest, whose functions it exports; any other is a program with `main`, built for WASI. This needs a Rust toolchain that compiles to WebAssembly; if there is none, the message says how to install one.
///
/// A file is the core module of a program for WASI preview 1, as compilers of C and Go write it; it becomes a component as it is.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  everstep build examples/hello/guest\n  everstep build . -o hello.wasm\n  everstep build tool.core.wasm -o tool.wasm"
)]
pub(crate) struct Args {
    /// The crate folder, or the file of a core module
    #[arg(value_name = "DIR|MODULE")]
    source: PathBuf,
    /// Where to write the component [default: DIR/target/everstep/{crate}.wasm, or beside the module]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let output = args.output.as_deref();
    let built = match args.source.is_file() {
        true => guest_build::adapt(&args.source, output)?,
        false => guest_build::build(&args.source, output)?,
    };
    print(&format!("{} ({} bytes)\n", everstep::visible::path(&built.component), built.size))?;
    Ok(Exit::Done)
}
