//! `everstep run`.

use super::console::Style;
use super::place::{CacheArg, NetworkArg, Place, Settings, Span, WarmArg};
use super::report::{self, Summary};
use super::watch::{Session, Watched, block_on};
use super::{Exit, Failure, Outcome, complain, granted, json_line, log, program, text};
use everstep::store::State;
use everstep::{
    Component, Disregarded, Error, ExecutionId, Handle, PROGRAM, Policy, Report, Run, guest_build, regular_file,
};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Run a function of a component, or a program, to its end
///
/// The result is the last line on standard output, after the output of the function; a program has none. Running the same id again reports the stored result of a
/// finished execution, or resumes an unfinished one; no recorded step runs again. If standard input is not a terminal, its lines answer the
/// questions of the function, or are the input of the program; its end is an error, or the end of that input.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A component, or a crate folder, which is built if its sources have changed
    target: PathBuf,
    /// The function, as `everstep functions` lists it, or the part after the # [default: that of a program, wasi:cli/run]
    function: Option<String>,
    /// The arguments: JSON, @FILE, or - for standard input [default: null]
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    args: Option<String>,
    /// The arguments of a program
    #[arg(last = true, value_name = "ARG", conflicts_with_all = ["args", "function"])]
    argv: Vec<String>,
    /// Take the arguments, such as (1, "two"), and print the result in WAVE, the WebAssembly Value Encoding
    #[arg(long, requires = "function", conflicts_with = "json")]
    wave: bool,
    /// What the function may do [default: print only; for a program, also clock, random and input]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// How a program or function is run, and what is said of it.
#[derive(clap::Args)]
pub(super) struct How {
    /// The id of the execution, which is also its idempotency key [default: a new one]
    #[arg(long)]
    id: Option<ExecutionId>,
    /// Where the execution is stored: a folder, the URL of a server, whose workers run it, or `memory`
    #[arg(long, visible_alias = "remote", value_name = "memory|DIR|URL", default_value = ".everstep")]
    pub(super) store: Place,
    /// The group of workers that runs it, on a server
    #[arg(long, value_name = "NAME", default_value = "default")]
    group: String,
    /// On a server, be one more worker of the group, with this component, until the command ends
    #[arg(long)]
    worker: bool,
    /// Suspend instead of waiting for a promise, and leave questions open
    #[arg(long)]
    no_wait: bool,
    /// Fail as timed out if the execution takes longer than this, such as 90s or 24h, including waits
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
    #[command(flatten)]
    warm: WarmArg,
    #[command(flatten)]
    network: NetworkArg,
    /// Print one JSON object {id, state, result | error, steps, replayed, wall_ms}; the output of the function goes to standard error
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) cache: CacheArg,
}

const EXAMPLES: &str = "\
Examples:
  everstep run hello.wasm hello --args '\"Ada\"'
  everstep run examples/word-count/guest count --policy examples/word-count/policy.toml --id count-1
  everstep run . publish --args @args.json --policy policy.toml --no-wait --json
  everstep run program.wasm --id convert-1 -- --from csv --to json < table.csv
  everstep run shapes.wasm docs:shapes/sizes@1.0.0#area --args '{\"side\": 2.5}'";

pub(crate) fn run(args: Args) -> Outcome {
    let Args { target, function, args, argv, wave, policy, how } = args;
    let policy = match &function {
        Some(_) => load_policy(policy.as_deref())?,
        None => granted::program(policy.as_deref())?,
    };
    how.store.check_out_of_reach(&policy)?;
    let given = args.as_deref().map(read_args).transpose()?;
    let component = how.cache.component(&component_file(&target, &policy)?)?;
    let Some(function) = function else {
        let args = given.map_or_else(|| program::args(&target, argv), Ok)?;
        return how.run(Run::new(component, PROGRAM, args, policy), program::tell);
    };
    if wave {
        let args = args_from_wave(&how.cache, &component, &function, given.as_deref().unwrap_or("()"))?;
        let run = Run::new(component.clone(), function.clone(), args, policy);
        let tell = async |session: &mut Session, report: &Report, _| {
            tell_unfinished(session, report).await;
            if let Some(result) = &report.result {
                let result = session.host.result_to_wave(&component, &function, result).await?;
                session.console.say(text::json(&result));
            }
            Ok(Exit::of(report))
        };
        return how.run(run, tell);
    }
    how.run(Run::new(component, function, given.unwrap_or_else(|| "null".to_owned()), policy), tell)
}

/// Arguments in WAVE as JSON.
fn args_from_wave(cache: &CacheArg, component: &Component, function: &str, wave: &str) -> Result<String, Failure> {
    block_on(async { Ok(cache.host()?.args_from_wave(component, function, wave).await?) })
}

impl How {
    /// Runs it to its end; `tell` reports the result, and says which exit code it has.
    pub(super) fn run(self, mut run: Run, tell: impl AsyncFnOnce(&mut Session, &Report, bool) -> Outcome) -> Outcome {
        let Self { id, store, group, worker, no_wait, timeout, warm, network, json, cache } = self;
        if let Some(id) = id {
            run = run.with_id(id);
        }
        if no_wait {
            run = run.without_waiting();
        }
        run.timeout = timeout.map(Span::duration);
        run.trace = log::trace();
        let is_remote = matches!(store, Place::Server(_));
        if is_remote && no_wait {
            return Err(Failure::usage("on a server the workers go on without waiting; leave --no-wait out"));
        }
        let (scope, components) = store.part(worker, &run.component)?;
        let settings = Settings { cache, warm, network, scope, group: Some(group), components };
        block_on(Box::pin(async move {
            let session = Session::start(store, settings, Style { json, several: false })?.answering(run.patience);
            let (host, id) = (session.host.clone(), run.id.clone());
            if is_remote {
                session.expect(&id);
            }
            let begin = async { if is_remote { host.submit(run).await } else { host.start(run).await } };
            let tell = async |session: &mut Session, report: &Report| tell(session, report, json).await;
            let outcome = follow(session, id, begin, tell).await;
            if worker {
                host.leave(Duration::ZERO).await?;
            }
            outcome
        }))
    }
}

/// Starts one execution, follows it to its end and reports the result, which says the exit code.
pub(super) async fn follow(
    mut session: Session,
    id: ExecutionId,
    start: impl Future<Output = Result<Handle, Error>>,
    tell: impl AsyncFnOnce(&mut Session, &Report) -> Outcome,
) -> Outcome {
    let resume = format!("everstep resume {id}{}", session.place.option());
    let handle = match session.unless_stopped(Box::pin(start)).await {
        Ok(Ok(handle)) => handle,
        Ok(Err(error)) => {
            session.close().await?;
            return Err(error.into());
        }
        Err(exit) => return Ok(session.stopped(exit, &resume)),
    };
    for disregarded in handle.disregarded() {
        session.console.note(told(&id, disregarded, &session.place.option()));
    }
    let mut ended = None;
    let watched = session.watch(vec![handle], async |_, _, outcome| ended = Some(outcome)).await;
    if let Watched::Stopped(exit) = watched {
        return Ok(session.stopped(exit, &resume));
    }
    let outcome = ended.unwrap_or_else(|| Err(Failure::usage("nothing is known of the execution")));
    let told = match &outcome {
        Ok(report) => Some(tell(&mut session, report).await?),
        Err(_) => None,
    };
    let stopped = session.close().await?;
    outcome?;
    Ok(stopped.or(told).unwrap_or(Exit::Done))
}

/// The note on a part of the command line that is ignored, because the execution existed before.
pub(super) fn told(id: &ExecutionId, disregarded: &Disregarded, option: &str) -> String {
    match disregarded {
        Disregarded::Timeout { deadline_ms: Some(deadline_ms) } => {
            let deadline = text::time(*deadline_ms);
            format!("--timeout does not apply: the execution {id} was there before, and keeps its deadline, {deadline}")
        }
        Disregarded::Timeout { deadline_ms: None } => {
            format!("--timeout does not apply: the execution {id} was there before, without a deadline")
        }
        Disregarded::Component { began, ended: true } => format!(
            "the execution {id} has ended, with another component ({began}), and runs no more; to run this one, choose another id"
        ),
        Disregarded::Component { began, ended: false } => format!(
            "the execution {id} goes on with the component that it began with ({began}), not with this one; to run this one, \
             choose another id, or move it: everstep upgrade {id} --component FILE{option}"
        ),
        Disregarded::Beginning { began } => format!(
            "the execution {id} began with another component ({began}); this one takes it over if it repeats what is recorded"
        ),
        _ => format!("the execution {id} was there before: {disregarded:?}"),
    }
}

/// Prints the result on standard output; everything else is a note.
pub(super) async fn tell(session: &mut Session, report: &Report, json: bool) -> Outcome {
    tell_unfinished(session, report).await;
    if json {
        session.console.say(json_line(&Summary::of(report, &session.host.reader()).await)?);
    } else if let Some(result) = &report.result {
        session.console.say(text::json(result));
    }
    Ok(Exit::of(report))
}

/// Notes the state of an execution without a result, and how to continue it.
pub(super) async fn tell_unfinished(session: &mut Session, report: &Report) {
    if report.state == State::Suspended {
        session.announce_promises(&report.id).await;
    }
    if session.place == Place::Memory && !report.state.is_final() {
        let (id, state) = (&report.id, report.state.name());
        let error = report.error.as_ref().map(|error| format!(": {}", report::error_text(error))).unwrap_or_default();
        session.console.note(format!(
            "execution {id} is {state}{error}\nthe memory store ends here, so it cannot go on; use --store DIR to keep it"
        ));
    } else if let Some(note) = report::unfinished(report, &session.place.option()) {
        session.console.note(note);
    }
    session.announce_halted(&report.id, report.state).await;
}

pub(super) fn load_policy(file: Option<&Path>) -> Result<Policy, Failure> {
    match file {
        Some(file) => Ok(Policy::load(file)?),
        None => {
            complain("no policy file: nothing is granted but print; see --policy");
            Ok(Policy::none())
        }
    }
}

pub(super) fn read_args(args: &str) -> Result<String, Failure> {
    let text = match args.strip_prefix('@') {
        Some(file) => {
            let text = File::open(file).and_then(|file| regular_file::read_stream(file, regular_file::INPUT));
            text.map_err(Failure::io(format!("cannot read the arguments {file}")))?
        }
        None if args == "-" => {
            let text = regular_file::read_stream(std::io::stdin(), regular_file::INPUT);
            text.map_err(Failure::io("cannot read the arguments from standard input"))?
        }
        None => args.to_owned(),
    };
    Ok(text.trim().to_owned())
}

/// The file of a component; a crate is built first if it has changed.
pub(super) fn component_file(target: &Path, policy: &Policy) -> Result<PathBuf, Failure> {
    if target.is_dir() {
        return built(target, policy);
    }
    out_of_reach(policy.writable_at(target), target, "lets the guest replace the component")?;
    Ok(target.to_owned())
}

fn built(dir: &Path, policy: &Policy) -> Result<PathBuf, Failure> {
    check_inputs(dir, policy)?;
    let component = guest_build::default_output(dir)?;
    if guest_build::is_stale(dir, &component) {
        complain(&format!("building {} ...", everstep::visible::path(dir)));
        guest_build::build(dir, None)?;
        // The first build shows where the sources of path dependencies are.
        check_inputs(dir, policy)?;
    }
    Ok(component)
}

/// Checks that a guest cannot write what a build reads: build scripts and macros run outside the sandbox.
fn check_inputs(dir: &Path, policy: &Policy) -> Result<(), Failure> {
    for input in guest_build::inputs(dir)? {
        let what = format!("lets the guest write what {} is built from:", everstep::visible::path(dir));
        out_of_reach(policy.writable_around(&input), &input, &what)?;
    }
    Ok(())
}

fn out_of_reach(rule: Option<&str>, path: &Path, what: &str) -> Result<(), Failure> {
    let Some(rule) = rule else { return Ok(()) };
    let path = everstep::visible::path(path);
    Err(Failure::usage(format!("the rule {rule:?} {what} {path}; grant a folder apart from it")))
}
