//! `everstep exec`: a Python program as a durable function.

use super::place::CacheArg;
use super::report::Summary;
use super::run::{self, How};
use super::watch::Session;
use super::{Failure, Outcome, granted, json_line};
use everstep::store::{Execution, FailureKind, State};
use everstep::{Component, Policy, Report, Run, regular_file};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Run a Python program, with top-level await, in a durable sandbox
///
/// CPython runs inside a component: a program can print, ask, wait, and read what its policy grants. Running the same id again reports the
/// stored outcome of a finished program, or resumes an interrupted one after its last recorded step. If standard input is not a terminal, its
/// lines answer `input`, and its end raises EOFError.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(id = "program", required = true, multiple = false, args = ["file", "code"])]
pub(crate) struct Args {
    /// A Python file, or - for standard input
    file: Option<PathBuf>,
    /// The source of the program
    #[arg(short = 'c', value_name = "CODE", allow_hyphen_values = true)]
    code: Option<String>,
    /// What the program may do; must grant [clock] and [random] [default: these, print, display and input]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    python: PythonArg,
    #[command(flatten)]
    how: How,
}

/// `--python` of the commands that run Python.
#[derive(clap::Args)]
pub(super) struct PythonArg {
    /// The component of Python, as `everstep python build` makes it [default: that of [python] in the policy, of $EVERSTEP_PYTHON, or
    /// everstep-python.wasm beside this program]
    #[arg(long, value_name = "FILE")]
    pub(super) python: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  everstep exec -c 'print(1+1)'
  everstep exec report.py --policy policy.toml --id report-7
  everstep exec --python agent.wasm -c 'import yaml; print(yaml.dump([1]))'
  cat cell.py | everstep exec - --json";

/// The function that runs a program.
const FUNCTION: &str = "execute";

/// Its arguments.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Program<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    filename: Cow<'a, str>,
}

/// The result of a program: its last value, and the names that it defines.
#[derive(Deserialize)]
#[allow(dead_code, reason = "the shape alone tells a program from another function of that name")]
struct End<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow)]
    repr: &'a RawValue,
    #[serde(borrow)]
    namespace: &'a RawValue,
}

/// The CPython component: `file`, or that of the policy, or the one that comes with this program.
pub(super) fn component(file: Option<&Path>, policy: &Policy, cache: &CacheArg) -> Result<Component, Failure> {
    let file = file.or(policy.python.as_deref()).map_or_else(python, |file| Ok(file.to_owned()))?;
    cache.component(&run::component_file(&file, policy)?)
}

pub(crate) fn run(args: Args) -> Outcome {
    let Args { file, code, policy, python, how } = args;
    let policy = granted::python(policy.as_deref())?;
    how.store.check_out_of_reach(&policy)?;
    let args = json_line(&program(code, file.as_deref())?)?;
    let component = component(python.python.as_deref(), &policy, &how.cache)?;
    // A program continues with the CPython build that it began with: a later build would differ, for example in the
    // order of a set.
    how.run(Run::new(component, FUNCTION, args, policy).without_upgrading(), tell)
}

/// The source, and the name that tracebacks use.
fn program(code: Option<String>, file: Option<&Path>) -> Result<Program<'static>, Failure> {
    let program = |code: String, filename: String| Program { code: code.into(), filename: filename.into() };
    match (code, file) {
        (Some(code), _) => Ok(program(code, "<string>".to_owned())),
        (None, Some(file)) if file != Path::new("-") => {
            let source = File::open(file).and_then(|file| regular_file::read_stream(file, regular_file::INPUT));
            let source =
                source.map_err(Failure::io(format!("cannot read the program {}", everstep::visible::path(file))))?;
            Ok(program(source, name(file)))
        }
        _ => {
            let source = regular_file::read_stream(std::io::stdin(), regular_file::INPUT);
            let source = source.map_err(Failure::io("cannot read the program from standard input"))?;
            Ok(program(source, "<stdin>".to_owned()))
        }
    }
}

/// The name of a program's file for the program, mainly for tracebacks, without its location on this machine.
fn name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

/// The path of the CPython component: `$EVERSTEP_PYTHON`, or `everstep-python.wasm` beside this program.
fn python() -> Result<PathBuf, Failure> {
    if let Some(file) = std::env::var_os("EVERSTEP_PYTHON") {
        return Ok(file.into());
    }
    let program = std::env::current_exe().map_err(Failure::io("cannot tell where this program is"))?;
    let file = program.with_file_name("everstep-python.wasm");
    if file.exists() {
        return Ok(file);
    }
    Err(Failure::usage(format!(
        "there is no {}; build it with `make build`, or name the component with EVERSTEP_PYTHON",
        everstep::visible::path(file)
    )))
}

/// Reports the result of an execution as the command that started it does, whichever command resumes it.
pub(super) async fn tell_as_started(session: &mut Session, report: &Report, json: bool) -> Result<(), Failure> {
    match session.host.reader().execution(&report.id).await {
        Ok(execution) if is_program(&execution) => tell(session, report, json).await,
        Ok(execution) if execution.function == everstep::PROGRAM => super::program::tell(session, report, json).await,
        _ => run::tell(session, report, json).await,
    }
}

/// Whether an execution is a Python program.
fn is_program(execution: &Execution) -> bool {
    let Execution { function, args, result, .. } = execution;
    let ended = |result: &str| serde_json::from_str::<End<'_>>(result).is_ok();
    function == FUNCTION && serde_json::from_str::<Program<'_>>(args).is_ok() && result.as_deref().is_none_or(ended)
}

/// Reports the result of a program, with a traceback as Python prints it; the value of the last expression is printed
/// with `--json` only, as with `python FILE`.
async fn tell(session: &mut Session, report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        run::tell_unfinished(session, report).await;
        session.console.say(json_line(&Summary::of(report, &session.host.reader()).await)?);
        return Ok(());
    }
    match &report.error {
        Some(failure) if report.state == State::Failed && matches!(failure.kind, FailureKind::Returned(_)) => {
            session.console.note(failure.message.as_str());
        }
        _ => run::tell_unfinished(session, report).await,
    }
    Ok(())
}
