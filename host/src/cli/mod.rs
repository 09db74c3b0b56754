//! The command line: one file per subcommand, over the public face of the library.
//!
//! `place` is the store that a command works on, `program` is what a program is started with, `grant` the lines of a policy for an import, `watch` follows executions to their end, `ask` asks on a `terminal`, `piped` without one,
//! `approval` shows a call, `console` writes what they show, `report` describes results, `stream` writes output of any length, `text` makes
//! guest text harmless, `failure` holds errors and exit codes, `signals` end a command from outside, `log` is the log and the export of traces,
//! `metrics` a page for Prometheus.

mod approval;
mod ask;
mod audit;
mod build;
mod cancel;
mod compiling;
mod console;
#[cfg(test)]
mod doors;
mod elsewhere;
mod exec;
mod failure;
mod fork;
mod functions;
mod grant;
mod granted;
mod list;
mod log;
mod logs;
mod metrics;
mod move_to;
mod new;
mod piped;
mod place;
mod policy;
mod program;
mod promise;
mod push;
mod python;
mod remote;
mod repl;
mod replay;
mod report;
mod resume;
mod run;
mod schedule;
mod serve;
mod session;
mod show;
mod signals;
mod stream;
mod terminal;
mod text;
mod upgrade;
mod version;
mod watch;
mod worker;

pub(crate) use failure::{Exit, Failure};

use clap::{Parser, Subcommand};
use rustix::fs::{OFlags, fcntl_getfl};
use std::ffi::OsStr;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// Runs untrusted code durably.
///
/// A durable function is exported by a WebAssembly component. It can make only the calls that its policy grants. Each call is journaled, and
/// after a crash the function resumes after its last recorded step.
#[derive(Parser)]
#[command(name = "everstep", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    /// Write the log on standard error as text, or as json: one object a line
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        hide_default_value = true,
        hide_possible_values = true
    )]
    log: log::Format,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes of run, exec and resume:
  0  the function returned a result
  1  the function returned an error, trapped, or was canceled
  2  usage, configuration, load or store error
  3  the function ended because its policy denied a call
  4  halted: divergence, limit, in doubt, corrupted journal
  5  suspended: it waits for a promise, and --no-wait was given
Of a program (wasi:cli/run, or Python): its own where it is at most 125 and 1 for a higher one, 1 for an exception that nothing
catches and 3 if that was a denial; where it does not end itself, 121 (trapped, canceled, timed out), 123, 124 and 125.
  129, 130, 143  terminal closed, interrupted, terminated: it can be resumed
For several executions the worst code is returned, in the order 0, 5, 1, 3, 4, 2.

EVERSTEP_LOG=info (or debug, or a filter such as everstep=debug) sets the level of the log on standard error: info says how
executions start, resume and end. Traces go to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names.";

#[derive(Subcommand)]
enum Command {
    New(new::Args),
    Build(build::Args),
    Functions(functions::Args),
    Run(run::Args),
    Exec(exec::Args),
    Repl(repl::Args),
    Session(session::Args),
    Resume(resume::Args),
    Serve(serve::Args),
    Worker(worker::Args),
    List(list::Args),
    Show(show::Args),
    Logs(logs::Args),
    Cancel(cancel::Args),
    #[command(subcommand)]
    Promise(promise::Command),
    #[command(subcommand)]
    Schedule(schedule::Command),
    #[command(subcommand)]
    Python(python::Command),
    Replay(replay::Args),
    Fork(fork::Args),
    Upgrade(upgrade::Args),
    Move(move_to::Args),
    #[command(subcommand)]
    Policy(policy::Command),
    #[command(subcommand)]
    Audit(audit::Command),
    Version(version::Args),
}

/// The result of a command.
type Outcome = Result<Exit, Failure>;

/// Parses the command line and runs the command.
pub(crate) fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|command| command == "worker") {
        // It often waits for a long time, with much more of its heap in huge pages than it uses, where a system gives them to all. A system
        // that does not let it lets it have them.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }
    let json = std::env::args_os().skip(1).take_while(|arg| arg != "--").any(|arg| arg == OsStr::new("--json"));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, json),
    };
    let log = log::Log::start(cli.log);
    let done = check_stdout().and_then(|()| dispatch(cli.command));
    log.end();
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if json {
                // A reader that is gone does not need the error either.
                let _ = print(&format!("{}\n", failure.json()));
            }
            complain(&format!("error: {}", failure.message));
            failure.exit.into()
        }
    }
}

/// Checks that standard output can be written: the standard library takes one that is open for reading only as closed, and drops the
/// output silently.
fn check_stdout() -> Result<(), Failure> {
    match fcntl_getfl(std::io::stdout()) {
        Ok(flags) if flags & OFlags::RWMODE == OFlags::RDONLY => Err(unwritten(rustix::io::Errno::BADF.into())),
        _ => Ok(()),
    }
}

fn dispatch(command: Command) -> Outcome {
    match command {
        Command::New(args) => new::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Functions(args) => functions::run(&args),
        Command::Run(args) => run::run(args),
        Command::Exec(args) => exec::run(args),
        Command::Repl(args) => repl::run(args),
        Command::Session(args) => session::run(args),
        Command::Resume(args) => resume::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Worker(args) => worker::run(args),
        Command::List(args) => list::run(args),
        Command::Show(args) => show::run(&args),
        Command::Logs(args) => logs::run(&args),
        Command::Cancel(args) => cancel::run(args),
        Command::Promise(command) => promise::run(command),
        Command::Schedule(command) => schedule::run(command),
        Command::Python(command) => python::run(command),
        Command::Replay(args) => replay::run(args),
        Command::Fork(args) => fork::run(args),
        Command::Move(args) => move_to::run(args),
        Command::Upgrade(args) => upgrade::run(args),
        Command::Policy(command) => policy::run(&command),
        Command::Audit(command) => audit::run(&command),
        Command::Version(args) => version::run(&args),
    }
}

/// Reports clap's message: a help text, or an error in the command line.
fn refuse(error: &clap::Error, json: bool) -> ExitCode {
    if json && error.use_stderr() {
        let text = error.render().to_string();
        let message = text.trim().trim_start_matches("error: ");
        let _ = print(&format!("{}\n", Failure::usage(message).json()));
    }
    match error.print() {
        Err(failed) if !error.use_stderr() && failed.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(&format!("error: {}", unwritten(failed).message));
            Exit::Usage.into()
        }
        _ if error.use_stderr() => Exit::Usage.into(),
        _ => Exit::Done.into(),
    }
}

/// Writes to standard output. A reader that is gone ends a command quietly.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let reset = if stdout.is_terminal() { text::RESET } else { "" };
    let parts = [reset, text].map(|part| stdout.write_all(part.as_bytes()));
    match parts.into_iter().collect::<Result<(), _>>().and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(unwritten(error)),
        _ => Ok(()),
    }
}

/// The error that standard output could not be written, except because its reader is gone.
fn unwritten(error: std::io::Error) -> Failure {
    Failure::io("cannot write to standard output")(error)
}

/// Prints one JSON object on standard output.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    print(&format!("{}\n", json_line(value)?))
}

/// A JSON object in one line.
fn json_line(value: &impl serde::Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string(value).map_err(|error| Failure::io("cannot write JSON")(error.into()))?;
    Ok(text::json(&json).into_owned())
}

/// Writes a line to standard error.
fn complain(line: &str) {
    let mut stderr = std::io::stderr().lock();
    let reset = if stderr.is_terminal() { text::RESET } else { "" };
    // There is no place to report an error.
    let _ = writeln!(stderr, "{reset}{}", text::said(line));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        fn check(command: &clap::Command) {
            let leaf = command.get_subcommands().next().is_none();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(!leaf || help.starts_with("Examples:\n  everstep "), "{}", command.get_name());
            assert!(command.get_about().is_some(), "{}", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&super::Cli::command());
    }
}
