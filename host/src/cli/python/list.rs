//! `everstep python list`.

use super::super::exec::named;
use super::super::{Exit, Outcome, print, print_json};
use super::told;
use everstep::Component;
use everstep::guest_build::python_contents;
use serde_json::json;
use std::path::PathBuf;

/// List the packages in a component of CPython
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep python list agent.wasm\n  everstep python list agent.wasm --json")]
pub(crate) struct Args {
    /// A component that `everstep python build` has made, or `science` for the one of `everstep python science`
    file: PathBuf,
    /// Print one JSON object {component, digest, python, packages, imported, waiting}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let file = named(&args.file)?;
    let (contents, bytes) = python_contents(&file)?;
    let (file, digest) = (everstep::visible::path(&file).to_string(), Component::from(bytes).digest().to_string());
    if args.json {
        print_json(&json!({
            "component": file, "digest": digest, "python": contents.python, "packages": contents.packages,
            "imported": contents.imported, "waiting": contents.waiting,
        }))?;
    } else {
        print(&format!("{file}: {}{digest}\n", told(&contents)))?;
    }
    Ok(Exit::Done)
}
