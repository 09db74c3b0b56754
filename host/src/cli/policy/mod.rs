//! `everstep policy`: one file per tool, over `everstep::policy::tools`.

mod check;
mod diff;
mod explain;
mod schema;
mod show;
mod suggest;
mod test;

use super::Outcome;

/// Check, explain, test and compare policy files
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Check(check::Args),
    Explain(explain::Args),
    Test(test::Args),
    Diff(diff::Args),
    Suggest(suggest::Args),
    Show(show::Args),
    Schema(schema::Args),
}

pub(crate) fn run(command: &Command) -> Outcome {
    match command {
        Command::Check(args) => check::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Test(args) => test::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Suggest(args) => suggest::run(args),
        Command::Show(args) => show::run(args),
        Command::Schema(args) => schema::run(args),
    }
}
