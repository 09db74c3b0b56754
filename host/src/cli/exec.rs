//! `everstep exec`: a Python program as a durable function.

use super::place::CacheArg;
use super::report::Summary;
use super::run::{self, How};
use super::watch::Session;
use super::{Exit, Failure, Outcome, granted, json_line};
use clap::ArgMatches;
use everstep::policy::SCIENCE;
use everstep::store::{Execution, FailureKind, State};
use everstep::{Component, Policy, Report, Run, regular_file};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Run a Python program, with top-level await, in a durable sandbox
///
/// CPython runs inside a component: a program can print, ask, wait, and read what its policy grants. Running the same id again reports the
/// stored outcome of a finished program, or resumes an interrupted one after its last recorded step. If standard input is not a terminal, its
/// lines answer `input` and are those of sys.stdin, and its end raises EOFError.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub(crate) struct Args {
    #[command(flatten)]
    what: Ordered,
    /// What the program may do; must grant [clock] and [random] [default: these, print, display and input]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Without a policy file: a folder that the program may read, as an image at /NAME; may be repeated
    #[arg(long, value_name = "DIR", conflicts_with = "policy")]
    with_folder: Vec<PathBuf>,
    #[command(flatten)]
    python: PythonArg,
    #[command(flatten)]
    how: How,
}

/// What is run.
#[derive(clap::Args)]
struct What {
    /// A Python file, or - for standard input, and the arguments of the program
    #[arg(value_name = "FILE|ARG", required_unless_present_any = ["code", "module"])]
    args: Vec<OsString>,
    /// The source of the program
    #[arg(short = 'c', value_name = "CODE", allow_hyphen_values = true, conflicts_with = "module")]
    code: Option<String>,
    /// A module that is run as the program, of the standard library or of a folder on PYTHONPATH
    #[arg(short = 'm', value_name = "MODULE")]
    module: Option<String>,
}

/// The same where `-c` and `-m` come before the arguments, as for Python: behind a file they would be its arguments there.
struct Ordered(What);

impl clap::FromArgMatches for Ordered {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let first = matches.indices_of("args").and_then(|mut indices| indices.next());
        let option = matches.index_of("code").or_else(|| matches.index_of("module"));
        if first.is_some() && first < option {
            let message = "-c and -m come before the arguments; an argument that begins with a hyphen comes behind --";
            return Err(clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, message));
        }
        What::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Ordered {
    fn augment_args(command: clap::Command) -> clap::Command {
        What::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        What::augment_args_for_update(command)
    }
}

const USAGE: &str = "everstep exec [OPTIONS] <FILE | -c CODE | -m MODULE> [ARG]... [-- ARG...]";

/// `--python` of the commands that run Python.
#[derive(clap::Args)]
pub(super) struct PythonArg {
    /// The component of Python, as `everstep python build` makes it, or `science` for the one of `everstep python science` [default: that of
    /// [python] in the policy, of $EVERSTEP_PYTHON, or everstep-python.wasm beside this program, or in ../share/everstep]
    #[arg(long, value_name = "FILE")]
    pub(super) python: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  everstep exec -c 'print(1+1)'
  everstep exec report.py --policy policy.toml --id report-7
  everstep exec convert.py table.csv --policy policy.toml -- --from csv
  everstep exec tool/main.py --with-folder tool
  everstep exec -m json.tool < answer.json
  everstep exec --python agent.wasm -c 'import yaml; print(yaml.dump([1]))'
  everstep exec --python science -c 'import pandas; print(pandas.Series([1, 2]).describe())'
  cat cell.py | everstep exec - --json

What follows -- are arguments of the program, as are those before it that begin with no hyphen.";

/// The function that runs a program.
const FUNCTION: &str = "execute";

/// Its arguments.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Program<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    code: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    module: Option<Cow<'a, str>>,
    #[serde(borrow)]
    filename: Cow<'a, str>,
    /// Left out where it follows from the name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    argv: Vec<String>,
    /// Each character of the code is a byte: the file is not UTF-8, or says how it is encoded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_bytes: bool,
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

const VARIABLE: &str = "EVERSTEP_PYTHON";

/// The CPython component: `file`, or that of the policy, or the one that comes with this program.
pub(super) fn component(file: Option<&Path>, policy: &Policy, cache: &CacheArg) -> Result<Component, Failure> {
    let file = match file.or(policy.python.as_deref()) {
        Some(file) => named(file)?,
        None => python()?,
    };
    cache.component(&run::component_file(&file, policy)?)
}

pub(crate) fn run(args: Args) -> Outcome {
    let Args { what: Ordered(what), policy, with_folder, python, how } = args;
    let policy = match policy {
        None => granted::python_with(&with_folder, memory(python.python.as_deref()))?,
        Some(file) => granted::python(Some(&file), memory(python.python.as_deref()))?,
    };
    how.store.check_out_of_reach(&policy)?;
    let args = json_line(&program(what, &policy)?)?;
    let component = component(python.python.as_deref(), &policy, &how.cache)?;
    // A program continues with the CPython build that it began with: a later build would differ, for example in the
    // order of a set.
    how.run(Run::new(component, FUNCTION, args, policy).without_upgrading(), tell)
}

/// What is run, and its arguments, the first of which says what it is.
fn program(what: What, policy: &Policy) -> Result<Program<'static>, Failure> {
    let What { args, code, module } = what;
    let argv = |first: &str, args: &[OsString]| -> Result<Vec<String>, Failure> {
        if args.is_empty() && first != "-m" {
            return Ok(Vec::new());
        }
        let text = |arg: &OsString| {
            let text = arg.clone().into_string();
            text.map_err(|arg| Failure::usage(format!("the argument {arg:?} is not UTF-8")))
        };
        std::iter::once(Ok(first.to_owned())).chain(args.iter().map(text)).collect()
    };
    let (code, module) = (code.map(Cow::Owned), module.map(Cow::Owned));
    if code.is_some() {
        return Ok(Program { code, filename: "<string>".into(), argv: argv("-c", &args)?, ..Program::default() });
    }
    if module.is_some() {
        return Ok(Program { module, filename: "<module>".into(), argv: argv("-m", &args)?, ..Program::default() });
    }
    let Some((file, rest)) = args.split_first() else { return Err(Failure::usage("name a Python file, or -")) };
    let (source, filename, first) = if file == "-" {
        let source = regular_file::read_from(std::io::stdin(), regular_file::INPUT);
        let source = source.map_err(Failure::io("cannot read the program from standard input"))?;
        (source, "<stdin>".to_owned(), "-".to_owned())
    } else {
        let file = Path::new(file);
        let source = File::open(file).and_then(|file| regular_file::read_from(file, regular_file::INPUT));
        let source =
            source.map_err(Failure::io(format!("cannot read the program {}", everstep::visible::path(file))))?;
        let name = name(file, policy);
        (source, name.clone(), name)
    };
    let argv = argv(&first, rest)?;
    let (code, is_bytes) = text(source);
    Ok(Program { code: Some(code.into()), filename: filename.into(), argv, is_bytes, module: None })
}

/// A source as text, without its byte order mark; or with a character for each byte, if Python has to find out how it is encoded.
fn text(source: Vec<u8>) -> (String, bool) {
    match String::from_utf8(source) {
        Ok(text) if !names_its_coding(&text) => {
            (text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text), false)
        }
        Ok(text) => (text.bytes().map(char::from).collect(), true),
        Err(other) => (other.into_bytes().into_iter().map(char::from).collect(), true),
    }
}

/// Whether one of the first two lines may be a comment that names an encoding (PEP 263).
fn names_its_coding(text: &str) -> bool {
    text.split(['\n', '\r']).take(3).any(|line| line.contains("coding") && line.contains('#'))
}

/// The name of a program's file for the program: where the policy shows it, or else without its location on this machine.
fn name(file: &Path, policy: &Policy) -> String {
    let shown = file.canonicalize().ok().and_then(|file| policy.shown_at(&file));
    shown.unwrap_or_else(|| file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned())
}

/// The memory of a program that has no policy file, in the component that `--python` names.
pub(super) fn memory(python: Option<&Path>) -> &'static str {
    let named = python.map(Path::to_owned).or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from));
    // With everything imported that programs begin with, that one has 182 MiB in use.
    if named.is_some_and(|file| file.as_os_str() == SCIENCE) { "1GiB" } else { "128MiB" }
}

/// The file of a component as it is named in a command, in a policy and in $EVERSTEP_PYTHON: itself, but for `science`, which is what
/// `everstep python science` has made.
pub(super) fn named(file: &Path) -> Result<PathBuf, Failure> {
    if file.as_os_str() != SCIENCE {
        return Ok(file.to_owned());
    }
    let file = everstep::guest_build::science(None);
    match file.exists() {
        true => Ok(file),
        false => Err(Failure::usage(format!(
            "there is no {}; `everstep python science` gets and prepares it once, in some minutes",
            everstep::visible::path(file)
        ))),
    }
}

/// The path of the CPython component: `$EVERSTEP_PYTHON`, or `everstep-python.wasm` beside this program, or where an installation has it.
fn python() -> Result<PathBuf, Failure> {
    if let Some(file) = std::env::var_os(VARIABLE) {
        return named(Path::new(&file));
    }
    let program = std::env::current_exe().map_err(Failure::io("cannot tell where this program is"))?;
    let file = program.with_file_name("everstep-python.wasm");
    // A wheel puts the program into `bin`, and data into `share`.
    let installed = program.with_file_name("../share/everstep/everstep-python.wasm").canonicalize();
    if let Some(found) = [file.clone()].into_iter().chain(installed).find(|file| file.exists()) {
        return Ok(found);
    }
    Err(Failure::usage(format!(
        "there is no {}; build it with `make build`, or name the component with EVERSTEP_PYTHON",
        everstep::visible::path(file)
    )))
}

/// Reports the result of an execution as the command that started it does, whichever command resumes it.
pub(super) async fn tell_as_started(session: &mut Session, report: &Report, json: bool) -> Outcome {
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
async fn tell(session: &mut Session, report: &Report, json: bool) -> Outcome {
    let exits = report.error.as_ref().and_then(everstep::named_exit_code);
    let ended = match &report.error {
        Some(failure) if report.state == State::Failed && matches!(failure.kind, FailureKind::Returned(_)) => {
            Some(failure.message.as_str())
        }
        _ => None,
    };
    if json {
        run::tell_unfinished(session, report).await;
        session.console.say(json_line(&Summary::of(report, &session.host.reader()).await)?);
    } else {
        match ended {
            // It has said what it had to say.
            Some(_) if exits.is_some() => {}
            Some(traceback) => session.console.note(traceback),
            None => run::tell_unfinished(session, report).await,
        }
    }
    Ok(match exits {
        Some(code) => Exit::of_process(code),
        None if ended.is_some() => Exit::of(report),
        None => Exit::of_host(report),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_text_unless_python_has_to_decode_it() {
        assert_eq!(text("\u{feff}x = 'é'".into()), ("x = 'é'".to_owned(), false));
        assert_eq!(text(b"x = '\xe9'".to_vec()), ("x = '\u{e9}'".to_owned(), true));
        let latin = "#!/usr/bin/env python\r# -*- coding: latin-1 -*-\rx = 'é'";
        assert_eq!(text(latin.into()), (latin.replace('é', "\u{c3}\u{a9}"), true));
        assert!(!text("x = 1\ny = 2\nz = 3\n# coding: latin-1".into()).1);
    }
}
