//! `everstep move`.

use super::cancel::changing;
use super::place::{CacheArg, Place, StoreArg};
use super::watch::block_on;
use super::{Exit, Failure, Outcome, complain, print, print_json};
use everstep::store::Query;
use everstep::{Error, Everstep, ExecutionId, Moved, Scope};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Move executions from a folder to a server, whose workers go on with them
///
/// An execution moves with its journal, its open promises, and what it waits for of what it has called; here it ends as canceled. It must not
/// be running, and it moves once: if the command is interrupted, the same command goes on with it. Components are not sent to a server: the
/// workers need those that the executions run in, which --components writes. Detached executions move by their own ids, and schedules stay.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The execution
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<ExecutionId>,
    /// Move everything that has not ended
    #[arg(long)]
    all: bool,
    /// The URL of the server
    #[arg(long, value_name = "URL")]
    to: Place,
    /// The group of workers that goes on with it
    #[arg(long, value_name = "NAME", default_value = "default")]
    group: String,
    /// Write the components that the workers need to this folder
    #[arg(long, value_name = "DIR")]
    components: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArg,
    /// Print one JSON object {moved: [ID], components: [DIGEST], stays: [{id, kind, message}]}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: CacheArg,
}

const EXAMPLES: &str = "\
Examples:
  everstep move order-7 --to http://127.0.0.1:8001 --components parts
  everstep move --all --to https://resonate.example.org --store /var/lib/everstep";

pub(crate) fn run(args: Args) -> Outcome {
    let Args { id, all: _, to, group, components, store: StoreArg { store }, json, cache } = args;
    let (Place::Server(url), Place::Folder(_)) = (&to, &store) else {
        return Err(Failure::usage("executions are moved from a folder (--store DIR) to a server (--to URL)"));
    };
    let here = changing(&store, &cache)?;
    let there = to.host()?.scope(Scope::Nothing).group(&group).build()?;
    block_on(async {
        let ids = match id {
            Some(id) => vec![id],
            None => unfinished(&here).await?,
        };
        let (mut all, mut stays) = (Moved::default(), Vec::new());
        for id in ids {
            match here.move_to(&id, &there, url).await {
                Ok(moved) => {
                    all.executions.extend(moved.executions);
                    all.components.extend(moved.components);
                    if !json {
                        print(&format!("moved {id}\n"))?;
                    }
                }
                Err(error) => {
                    // A store that has failed will not take the next one either.
                    let is_over = matches!(error, Error::Store(_) | Error::Server(_));
                    stays.push((id, Failure::from(error)));
                    if is_over {
                        break;
                    }
                }
            }
        }
        let needed: BTreeSet<_> = all.components.into_iter().collect();
        if let Some(folder) = &components {
            write(&here, needed.iter(), folder).await?;
        }
        if json {
            let stays: Vec<_> = stays
                .iter()
                .map(|(id, failure)| json!({ "id": id, "kind": failure.kind, "message": failure.message }))
                .collect();
            print_json(&json!({ "moved": all.executions, "components": needed, "stays": stays }))?;
        } else if components.is_none() {
            needed.iter().for_each(|digest| complain(&format!("workers need the component {digest}")));
        }
        stays.iter().for_each(|(_, failure)| complain(&format!("error: {}", failure.message)));
        Ok(stays.iter().map(|(_, failure)| failure.exit).max().unwrap_or(Exit::Done))
    })
}

/// The executions that have not ended and that no other one has called.
async fn unfinished(host: &Everstep) -> Result<Vec<ExecutionId>, Failure> {
    let (mut all, mut found) = (host.reader().list(Query::unfinished()), Vec::new());
    while let Some(execution) = all.next().await? {
        if execution.id.parent().is_none() {
            found.push(execution.id);
        }
    }
    Ok(found)
}

/// Writes components to a folder, each named by its digest.
async fn write(
    host: &Everstep,
    digests: impl Iterator<Item = &everstep::Digest>,
    folder: &Path,
) -> Result<(), Failure> {
    let failed = || format!("cannot write to {}", everstep::visible::path(folder));
    std::fs::create_dir_all(folder).map_err(Failure::io(failed()))?;
    for digest in digests {
        let Some(component) = host.kept_component(digest).await? else { continue };
        let file = folder.join(format!("{}.wasm", digest.to_string().replace(':', "-")));
        std::fs::write(&file, component).map_err(Failure::io(failed()))?;
        complain(&format!("workers need the component {}", everstep::visible::path(&file)));
    }
    Ok(())
}
