//! `everstep python build`.

use super::super::signals::Signals;
use super::super::watch::block_on;
use super::super::{Exit, Failure, Outcome, print, print_json};
use super::told;
use everstep::guest_build::{PythonBuild, RunningBuild};
use serde_json::json;
use std::path::PathBuf;

/// Build a component of CPython with packages from PyPI in it
///
/// Packages are found by pip, with your settings of pip, for the Python in the component; their code runs in the component alone. Those that are
/// asked for are imported while it is built, so that programs have them at once. Native code is left out: a package that does not do without is
/// refused. The versions and hashes are written beside the component, as FILE.lock; while what is asked for stays the same, they stay the same.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A file of requirements, as pip reads it, or the lock of another component
    #[arg(short, long = "requirement", value_name = "FILE")]
    requirements: Vec<PathBuf>,
    /// Packages, such as jinja2 or 'jinja2>=3', or files of wheels
    #[arg(long, value_name = "REQ", num_args = 1..)]
    with: Vec<String>,
    /// Modules to be imported besides those at the top of the packages that are asked for
    #[arg(long, value_name = "MODULE", num_args = 1..)]
    preload: Vec<String>,
    /// Where to write the component
    #[arg(short, long, value_name = "FILE", default_value = "python.wasm")]
    output: PathBuf,
    /// Find the newest versions, whatever FILE.lock says
    #[arg(long)]
    upgrade: bool,
    /// The folder for the tools and for components that were built [default: $EVERSTEP_PYTHON_CACHE, or everstep/python in
    /// $XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Print one JSON object {component, lock, digest, cached, python, packages, imported, waiting}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  everstep python build --with jinja2 pyyaml -o agent.wasm
  everstep python build -r requirements.txt --preload jinja2.sandbox -o agent.wasm
  everstep python build -r agent.wasm.lock -o same.wasm";

pub(crate) fn run(args: Args) -> Outcome {
    let Args { requirements, with, preload, output, upgrade, cache, json } = args;
    block_on(async move {
        let mut signals = Signals::start(false)?;
        let running = PythonBuild { files: requirements, with, preload, output, upgrade, cache }.start()?;
        let group = running.group();
        let mut waiting = tokio::task::spawn_blocking(move || running.wait());
        let (built, stopped) = tokio::select! {
            built = &mut waiting => (built, None),
            exit = signals.end() => {
                RunningBuild::stop(group);
                // Until what it has written is removed.
                (waiting.await, Some(exit))
            }
        };
        let built = built.map_err(|lost| Failure::io("the build is gone")(lost.into()))?;
        if let (Err(_), Some(exit)) = (&built, stopped) {
            return Ok(exit);
        }
        let built = built?;
        let component = everstep::visible::path(&built.component).to_string();
        if json {
            print_json(&json!({
                "component": component, "lock": everstep::visible::path(&built.lock).to_string(),
                "digest": built.digest, "cached": built.is_cached,
                "python": built.contents.python, "packages": built.contents.packages,
                "imported": built.contents.imported, "waiting": built.contents.waiting,
            }))?;
        } else {
            print(&format!("{component}: {}", told(&built.contents)))?;
        }
        Ok(Exit::Done)
    })
}
