//! `everstep python`: components of CPython with packages built in.

mod build;
mod list;
mod science;

use super::Outcome;
use everstep::guest_build::PythonContents;

/// Build Python packages into a component, and list those of one
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Build(build::Args),
    List(list::Args),
    Science(science::Args),
}

pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Build(args) => build::run(args),
        Command::List(args) => list::run(&args),
        Command::Science(args) => science::run(args),
    }
}

/// The lines of what a component holds, after a line about the component itself.
fn told(contents: &PythonContents) -> String {
    let mut text = format!("CPython {}\n", contents.python);
    for package in &contents.packages {
        let native = if package.without_native_code { ", without its native code" } else { "" };
        text.push_str(&format!("  {} {}{native}\n", package.name, package.version));
    }
    for (what, modules) in [("imported", &contents.imported), ("imported by programs", &contents.waiting)] {
        if !modules.is_empty() {
            text.push_str(&format!("{what}: {}\n", modules.join(" ")));
        }
    }
    text
}
