//! The `everstep` command.

mod cli;

use std::process::ExitCode;

/// Executions are many small allocations that one thread makes and another one frees.
#[cfg(feature = "allocator")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
