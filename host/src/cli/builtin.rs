//! What a program may do without a policy file: compute, print, ask, and write files that lie in memory. It sees no file of the host and no
//! network.

use everstep::policy::{Error, Policy};
use std::path::Path;

/// Of Python. Its interpreter needs a deep stack; it may also show values and keep names from cell to cell, and it starts in `/tmp`.
pub(super) fn python() -> Result<Policy, Error> {
    let more = "[[capability]]\nname = \"display\"\n[[capability]]\nname = \"session\"\n[env]\nPWD = \"/tmp\"\n";
    policy("python", "/tmp", &format!("wasm_stack = \"8MiB\"\n{more}"))
}

/// Of a component that exports `wasi:cli/run`. C libraries begin in `/`, whatever the environment says.
pub(super) fn program() -> Result<Policy, Error> {
    policy("program", "/", "")
}

/// `more` begins with limits.
fn policy(name: &str, scratch: &str, more: &str) -> Result<Policy, Error> {
    let text = format!(
        "version = 1\nname = \"{name}\"\n[limits]\nsteps = 1_000_000\n{more}\
         [clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n\
         [[capability]]\nname = \"print\"\n[[capability]]\nname = \"input\"\n\
         [[files]]\nid = \"scratch\"\nguest = \"{scratch}\"\naccess = \"scratch\"\n\
         max_file = \"64MiB\"\nmax_written = \"1GiB\"\nmax_files = 10_000\n"
    );
    Policy::parse(&text, Path::new(name))
}
