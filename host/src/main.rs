//! The `everstep` command.

mod cli;

use std::process::ExitCode;

/// Executions make many small allocations, often freed by another thread.
#[cfg(feature = "allocator")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
