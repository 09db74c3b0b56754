//! `everstep worker`.

use super::console::{Console, Style};
use super::metrics::MetricsArg;
use super::place::{CacheArg, FoldersArg, NetworkArg, Place, WarmArg};
use super::run::component_file;
use super::signals::{Came, Signals};
use super::watch::block_on;
use super::{Exit, Failure, Outcome, complain};
use super::{compiling, exec, granted};
use everstep::{Builder, Policy};
use std::path::PathBuf;
use std::time::Duration;

/// Run executions of a Resonate server, together with the other workers of a group
///
/// A worker takes the executions that run in one of its components, and leaves others to the other workers. It may be killed at any
/// moment: another one goes on behind the last recorded step.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The components that it runs, or crate folders, which are built when their sources are newer
    #[arg(required_unless_present = "python", value_name = "COMPONENT")]
    components: Vec<PathBuf>,
    /// Run Python programs and sessions, too; with =FILE in that component of Python
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    python: Option<Option<PathBuf>>,
    /// The server that has the executions
    #[arg(long, value_name = "URL")]
    remote: Place,
    /// The group of this worker
    #[arg(long, value_name = "NAME", default_value = "default")]
    group: String,
    /// What functions may do that clients in other languages call by name; without it nothing but print
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// How many executions may run at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: Option<u32>,
    /// How long a claim on an execution lasts when this worker is not heard of any more; others take over after that
    #[arg(long, value_name = "TIME", default_value = "15s")]
    lease: super::place::Span,
    #[command(flatten)]
    folders: FoldersArg,
    #[command(flatten)]
    warm: WarmArg,
    #[command(flatten)]
    network: NetworkArg,
    #[command(flatten)]
    cache: CacheArg,
    #[command(flatten)]
    metrics: MetricsArg,
}

const EXAMPLES: &str = "\
Examples:
  everstep worker --remote http://127.0.0.1:8001 shop.wasm
  everstep worker --remote http://127.0.0.1:8001 --python --folder data=/srv/data
  everstep worker --remote http://127.0.0.1:8001 --python=agent.wasm
  EVERSTEP_TOKEN=secret everstep worker --remote https://resonate.example.org --group orders shop.wasm mail.wasm";

/// The shortest lease: the server looks for leases that have ended once a second.
const SHORTEST: Duration = Duration::from_secs(1);

pub(crate) fn run(args: Args) -> Outcome {
    let Args { components, python, remote, group, policy: file, .. } = args;
    let Args { concurrency, lease, folders, warm, network, cache, metrics, .. } = args;
    let policy = file.as_deref().map_or_else(|| Ok(Policy::none()), Policy::load)?;
    let of_python =
        python.as_ref().map(|python| granted::python(file.as_deref(), exec::memory(python.as_deref()))).transpose()?;
    let Place::Server(url) = remote.clone() else {
        return Err(Failure::usage("--remote is the URL of a server, such as http://127.0.0.1:8001"));
    };
    if lease.duration() < SHORTEST {
        return Err(Failure::usage("a lease lasts one second or longer"));
    }
    block_on(async move {
        let mut signals = Signals::start(network.ceiling.is_some())?;
        let console =
            Console::start(Style { json: false, several: true }).map_err(Failure::io("cannot start a thread"))?;
        let sink = console.clone();
        let mut builder = warm.apply(remote.host()?).group(&group).lease(lease.duration());
        builder = builder.on_compile(compiling::show).on_output(move |output| sink.output(output));
        builder = network.apply(cache.folder().into_iter().fold(builder, Builder::cache))?;
        builder = folders.apply(concurrency.into_iter().fold(builder, Builder::instances));
        let mut served = components
            .iter()
            .map(|target| Ok((cache.component(&component_file(target, &policy)?)?, policy.clone())))
            .collect::<Result<Vec<_>, Failure>>()?;
        if let Some(policy) = of_python {
            served.push((exec::component(python.flatten().as_deref(), &policy, &cache)?, policy));
        }
        builder = served.iter().map(|(component, _)| component.clone()).fold(builder, Builder::component);
        let host = builder.build()?;
        let _metrics = metrics.serve(&host).await?;
        let mut names = Vec::new();
        for (component, policy) in &served {
            let functions = host.serve(component, policy).await?;
            names.extend(functions.into_iter().map(|function| function.name));
        }
        complain(&format!("worker of group {} at {}: {}", group, url, names.join(", ")));
        loop {
            match signals.next().await {
                Came::Reload => match network.ceiling() {
                    Ok(ceiling) => host.set_ceiling(ceiling),
                    Err(failure) => complain(&format!("the ceiling stays as it was: {}", failure.message)),
                },
                Came::End(exit) => {
                    host.leave(DRAIN).await?;
                    let ends = matches!(exit, Exit::Terminated);
                    return Ok(if ends { Exit::Done } else { exit });
                }
            }
        }
    })
}

/// How long a worker that ends waits for what it runs, before it gives that back.
const DRAIN: Duration = Duration::from_secs(10);
