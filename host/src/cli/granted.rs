//! What programs may do: what their policy file grants, or without one to compute, print, ask, and write files that lie in memory. The latter
//! see no file of the host and no network.

use super::Failure;
use everstep::Policy;
use everstep::policy::{ClockGrant, Error, RandomGrant};
use std::path::{Path, PathBuf};

/// The policy of a Python program, which has that much memory without a policy file.
pub(super) fn python(file: Option<&Path>, memory: &str) -> Result<Policy, Failure> {
    match file {
        Some(file) => enough(Policy::load(file)?, file),
        None => python_with(&[], memory),
    }
}

/// The policy of a Python program without a policy file that has that much memory and may read these folders, each as an image under its own name.
pub(super) fn python_with(folders: &[PathBuf], memory: &str) -> Result<Policy, Failure> {
    // The interpreter needs a deep stack. It starts in `/tmp`.
    let (mut images, mut guests) = (String::new(), Vec::new());
    for (n, folder) in (1..).zip(folders) {
        let shown = everstep::visible::path(folder);
        let refused = |why: &str| Failure::usage(format!("--with-folder {shown}: {why}"));
        let folder = folder.canonicalize().map_err(Failure::io(format!("--with-folder {shown}")))?;
        if !folder.is_dir() {
            return Err(refused("it is no folder"));
        }
        let Some(name) = folder.file_name() else {
            return Err(refused("all of this machine has no name to be shown under; name a folder in it"));
        };
        let (Some(path), Some(name)) = (folder.to_str(), name.to_str()) else {
            return Err(refused("its path is not UTF-8"));
        };
        if name == "tmp" || guests.iter().any(|guest: &String| guest[1..] == *name) {
            return Err(refused(&format!(
                "/{name} is taken already; give one of the two another name, or grant it in a policy file"
            )));
        }
        let [host, guest] =
            [path.to_owned(), format!("/{name}")].map(|text| serde_json::Value::String(text).to_string());
        images.push_str(&format!(
            "[[files]]\nid = \"folder-{n}\"\nguest = {guest}\nhost = {host}\naccess = \"image\"\nmax_file = \"1GiB\"\n"
        ));
        guests.push(format!("/{name}"));
    }
    if !guests.is_empty() {
        images.insert_str(0, &format!("PYTHONPATH = {}\n", serde_json::Value::String(guests.join(":"))));
    }
    let more = format!(
        "memory = \"{memory}\"\nwasm_stack = \"8MiB\"\n[[capability]]\nname = \"display\"\n[[capability]]\nname = \"session\"\n\
         [env]\nPWD = \"/tmp\"\n{images}"
    );
    Ok(builtin("python", "/tmp", &more)?)
}

/// The policy of a session, as `python`; it must grant the requests that drive the session.
pub(super) fn session(file: Option<&Path>, memory: &str) -> Result<Policy, Failure> {
    let policy = python(file, memory)?;
    match file.filter(|_| policy.capability("session").is_none()) {
        None => Ok(policy),
        Some(file) => Err(Failure::usage(format!(
            "{} does not grant what a session is driven by; add [[capability]] name = \"session\"",
            everstep::visible::path(file)
        ))),
    }
}

/// The policy of a component that exports `wasi:cli/run`. C libraries begin in `/`, whatever the environment says.
pub(super) fn program(file: Option<&Path>) -> Result<Policy, Failure> {
    match file {
        Some(file) => Ok(Policy::load(file)?),
        None => Ok(builtin("program", "/", "")?),
    }
}

/// Checks that a policy grants the time and random numbers: CPython asks for both before the first line of a program.
fn enough(policy: Policy, file: &Path) -> Result<Policy, Failure> {
    if policy.clock != ClockGrant::Deny && policy.random != RandomGrant::Deny {
        return Ok(policy);
    }
    Err(Failure::usage(format!(
        "{} does not grant what Python needs to start; add [clock] mode = \"recorded\" (or \"frozen\") and [random] mode = \"seeded\"",
        everstep::visible::path(file)
    )))
}

/// `more` begins with limits.
fn builtin(name: &str, scratch: &str, more: &str) -> Result<Policy, Error> {
    let text = format!(
        "version = 1\nname = \"{name}\"\n[limits]\nsteps = 1_000_000\n{more}\
         [clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n\
         [[capability]]\nname = \"print\"\n[[capability]]\nname = \"input\"\n\
         [[files]]\nid = \"scratch\"\nguest = \"{scratch}\"\naccess = \"scratch\"\n\
         max_file = \"64MiB\"\nmax_written = \"1GiB\"\nmax_files = 10_000\n"
    );
    Policy::parse(&text, Path::new(name))
}
