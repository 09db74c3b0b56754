//! `everstep resume`.

use super::console::Style;
use super::metrics::MetricsArg;
use super::place::{CacheArg, NetworkArg, Place, Settings, StoreArg, WarmArg};
use super::report::{self, Summary};
use super::serve::{self, MannerArg};
use super::watch::{Session, Watched, block_on};
use super::{Exit, Failure, Outcome, json_line};
use everstep::store::Query;
use everstep::{ExecutionId, Patience, Report, Scope};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Resume unfinished executions after their last recorded step
///
/// The store holds all that is needed: component, policy, arguments and journal. Without an id, all unfinished executions are resumed at the
/// same time, and a line is printed as each of them ends.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The execution [default: all unfinished ones]
    id: Option<ExecutionId>,
    /// Continue with another component; it must repeat every recorded step
    #[arg(long, value_name = "FILE", requires = "id")]
    component: Option<PathBuf>,
    /// Suspend instead of waiting for a promise, and leave questions open
    #[arg(long, conflicts_with = "stay")]
    no_wait: bool,
    /// Run until a signal arrives: fire schedules, start called executions, and resume those whose promises settle
    #[arg(long, conflicts_with = "id")]
    stay: bool,
    /// Also serve the store to workers of the Resonate SDKs, as `everstep serve` does
    #[arg(long, value_name = "ADDR", requires = "stay")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    manner: MannerArg,
    #[command(flatten)]
    metrics: MetricsArg,
    #[command(flatten)]
    warm: WarmArg,
    #[command(flatten)]
    network: NetworkArg,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object: that of `run`, or {executions: [...]} without an id
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: CacheArg,
}

const EXAMPLES: &str = "\
Examples:
  everstep resume
  everstep resume --stay
  everstep resume --stay --listen 127.0.0.1:8001
  everstep resume count-1 --store /var/lib/everstep
  everstep resume count-1 --component fixed.wasm";

pub(crate) fn run(args: Args) -> Outcome {
    args.store.store.existing()?;
    block_on(Box::pin(async move {
        match args.id.clone() {
            Some(_) if args.metrics.is_wanted() => {
                Err(Failure::usage("--metrics is of a host that stays; leave the id or the option out"))
            }
            Some(id) => one(&id, args).await,
            None => all(args).await,
        }
    }))
}

fn patience(no_wait: bool) -> Patience {
    if no_wait { Patience::None } else { Patience::Forever }
}

async fn one(id: &ExecutionId, args: Args) -> Outcome {
    let Args { component, no_wait, warm, network, store, json, cache, .. } = args;
    let component = component.map(|file| cache.component(&file)).transpose()?;
    let is_remote = matches!(store.store, Place::Server(_));
    if is_remote && (no_wait || component.is_some()) {
        return Err(Failure::usage(
            "the workers of a server go on with an execution; leave --no-wait and --component out",
        ));
    }
    let scope = if is_remote { Scope::Nothing } else { Scope::Started };
    let settings = Settings { cache, warm, network, scope, group: None, components: Vec::new() };
    let session = Session::start(store.store, settings, Style { json, several: false })?.answering(patience(no_wait));
    let host = session.host.clone();
    let start = async {
        match is_remote {
            true => host.hand_over(id).await,
            false => host.resume_with(id, component.as_ref(), patience(no_wait)).await,
        }
    };
    super::run::follow(session, id.clone(), start, async |session, report| {
        super::exec::tell_as_started(session, report, json).await
    })
    .await
}

async fn all(args: Args) -> Outcome {
    if let Place::Server(url) = &args.store.store {
        let remedy = "name one, or run more workers: everstep worker --remote";
        return Err(Failure::usage(format!(
            "the workers of a server go on with its executions by themselves; {remedy} {url}"
        )));
    }
    let Args { no_wait, stay, listen, manner, metrics, warm, network, store, json, cache, .. } = args;
    let serving = listen.map(|address| manner.check(address, false)).transpose()?;
    let scope = if no_wait { Scope::Started } else { Scope::Everything };
    let settings = Settings { cache, warm, network, scope, group: None, components: Vec::new() };
    let mut session = Session::start(store.store, settings, Style { json, several: true })?;
    let _metrics = metrics.serve(&session.host).await?;
    let (stop, stopped) = oneshot::channel::<()>();
    let mut server = match serving {
        Some(serving) => Some(tokio::spawn(serving.start(&session.place).await?.run(stopped))),
        None => None,
    };
    // Before any of them is resumed, so that executions which they call are not among them.
    let (mut listed, mut unfinished) = (session.host.reader().list(Query::unfinished()), Vec::new());
    while let Some(execution) = listed.next().await? {
        unfinished.push(execution.id);
    }
    let resume = format!("everstep resume{}", session.place.option());
    let (host, mut handles, mut ended) = (session.host.clone(), Vec::new(), Vec::new());
    for id in unfinished {
        match session.unless_stopped(Box::pin(host.resume(&id, patience(no_wait)))).await {
            Ok(Ok(handle)) => handles.push(handle),
            Ok(Err(error)) => end(&session, id, Err(error.into()), json, &mut ended).await,
            Err(exit) => return Ok(session.stopped(exit, &resume)),
        }
    }
    session.stays = stay;
    let watched = tokio::select! {
        watched = session.watch(handles, async |session, id, outcome| {
            end(session, id, outcome, json, &mut ended).await;
        }) => watched,
        failure = failure(&mut server) => return Err(failure),
    };
    drop(stop);
    if let Some(server) = server {
        // It still answers the requests that have begun; the store is fine.
        let _ = server.await;
    }
    if let Watched::Stopped(exit) = watched {
        return Ok(session.stopped(exit, &resume));
    }
    if json {
        let executions: Vec<_> = ended.iter().map(|(_, summary)| summary).collect();
        session.console.say(json_line(&BTreeMap::from([("executions", executions)]))?);
    } else if ended.is_empty() {
        session.console.note("nothing to resume: every execution of this store has ended");
    }
    let stopped = session.close().await?;
    Ok(stopped.unwrap_or(ended.iter().map(|(exit, _)| *exit).max().unwrap_or(Exit::Done)))
}

/// Completes once a server has failed.
async fn failure(server: &mut Option<JoinHandle<Result<Stopped, String>>>) -> Failure {
    match server {
        None => std::future::pending().await,
        Some(server) => match server.await {
            Ok(Err(error)) => serve::failed(error),
            // It was not stopped.
            Ok(Ok(_)) => serve::failed("the server has ended".to_owned()),
            Err(lost) => serve::failed(lost.to_string()),
        },
    }
}

/// The sender that stops a server is gone.
type Stopped = Result<(), oneshot::error::RecvError>;

async fn end(
    session: &Session,
    id: ExecutionId,
    outcome: Result<Report, Failure>,
    json: bool,
    ended: &mut Vec<(Exit, Summary)>,
) {
    let exit = report::exit(&outcome);
    let (line, summary) = match &outcome {
        Ok(report) => (report::line(report), Summary::of(report, &session.host.reader()).await),
        Err(failure) => (format!("{id}  error  {}", failure.message), Summary::failed(id, failure)),
    };
    if !json {
        session.console.say(line);
    }
    ended.push((exit, summary));
}
