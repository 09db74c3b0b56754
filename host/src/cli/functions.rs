//! `everstep functions`.

use super::place::CacheArg;
use super::run::component_file;
use super::stream::{Rows, Stream};
use super::watch::block_on;
use super::{Exit, Failure, Outcome, grant, print_json, text};
use everstep::{Component, Need, PROGRAM, Policy, needs as needs_of};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// List the functions of a component, what it imports, and which lines of a policy that needs
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A component, or a crate folder, which is built if its sources have changed
    target: PathBuf,
    /// Print one JSON object {functions: [{name, signature, description}], imports: [{name, needs}]}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: CacheArg,
}

const EXAMPLES: &str = "\
Examples:
  everstep functions program.wasm
  everstep functions examples/hello/guest --json | jq -r '.functions[].name'";

pub(crate) fn run(args: &Args) -> Outcome {
    let component = component(&args.target, &args.cache)?;
    let (functions, imports) = block_on(async {
        let host = args.cache.host()?;
        Ok((host.functions(&component, &Policy::none()).await?, host.imports(&component).await?))
    })?;
    let needs = |import: &str| needs_of(import).iter().map(|need| grant::short(*need)).collect::<Vec<_>>();
    if args.json {
        let imports: Vec<_> = imports.iter().map(|import| json!({ "name": import, "needs": needs(import) })).collect();
        print_json(&json!({ "functions": functions, "imports": imports }))?;
        return Ok(Exit::Done);
    }
    let mut rows = Rows::start(Stream::start(), &["FUNCTION", "TYPE"]);
    for function in &functions {
        let ty = match function.name.as_str() {
            PROGRAM => "a program: run it with -- ARG...",
            _ if function.signature.is_empty() => &function.description,
            _ => &function.signature,
        };
        if rows.row([text::line(&function.name, 200), text::line(ty, 2_100)]).is_break() {
            break;
        }
    }
    let mut stream = rows.end();
    let mut rows = match stream.write("\n").is_continue() {
        true => Rows::start(stream, &["IMPORT", "POLICY"]),
        false => return Ok(Exit::Done),
    };
    for import in &imports {
        if rows.row([text::line(import, 200), needs(import).join(", ")]).is_break() {
            break;
        }
    }
    rows.end().finish()?;
    Ok(Exit::Done)
}

/// What the imports of a component need.
pub(super) fn needs(target: &Path, cache: &CacheArg) -> Result<BTreeSet<Need>, Failure> {
    let component = component(target, cache)?;
    let imports = block_on(async { Ok(cache.host()?.imports(&component).await?) })?;
    Ok(imports.iter().flat_map(|import| needs_of(import)).copied().collect())
}

fn component(target: &Path, cache: &CacheArg) -> Result<Component, Failure> {
    cache.component(&component_file(target, &Policy::none())?)
}
