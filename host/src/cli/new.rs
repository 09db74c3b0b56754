//! `everstep new`.

use super::{Exit, Outcome, print, text};
use everstep::guest_build;
use std::path::PathBuf;

/// Create a crate with a durable function to start from
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep new greeter\n  everstep run greeter greet --policy greeter/policy.toml")]
pub(crate) struct Args {
    /// The folder to create; its last part names the crate
    name: PathBuf,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let dir = guest_build::new_crate(&args.name)?;
    let name = text::shell_path(&args.name);
    let dir = everstep::visible::path(dir);
    print(&format!(
        "created {dir}
run it: everstep run {name} greet --policy {name}/policy.toml
"
    ))?;
    Ok(Exit::Done)
}
