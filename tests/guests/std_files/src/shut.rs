//! What becomes of a program that closes its standard output.

use std::fs::{self, File};
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::path::Path;

/// Shows a line, closes the standard output, and shows more. Writes what came of that to the file `told`.
pub(super) fn shut(root: &Path) {
    println!("before");
    io::stdout().flush().expect("standard output");
    let stdout = || unsafe { File::from_raw_fd(1) };
    drop(stdout());
    let printed = writeln!(io::stdout(), "after").and_then(|()| io::stdout().flush());
    let written = (&*ManuallyDrop::new(stdout())).write(b"more");
    eprintln!("still");
    let told = format!("printed {:?}, written {:?}", printed.is_ok(), written.is_ok());
    fs::write(root.join("told"), told).expect("a file");
}
