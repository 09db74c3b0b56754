//! The store that a command works on.

use super::{Failure, compiling, remote, text};
use clap::builder::{OsStringValueParser, TypedValueParser, ValueParserFactory};
use everstep::{Builder, Component, Everstep, Policy, Reader, Scope, network};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// `--store memory`, `--store DIR` or `--store URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    Folder(PathBuf),
    /// A server of the Resonate protocol.
    Server(String),
}

/// `--store` of the commands that need a store which outlives its process.
#[derive(clap::Args)]
pub(crate) struct StoreArg {
    /// The folder of the store, or the URL of a server
    #[arg(long, visible_alias = "remote", value_name = "DIR|URL", default_value = ".everstep")]
    pub(crate) store: Place,
}

/// `--cache` of the commands that load components.
#[derive(Default, clap::Args)]
pub(crate) struct CacheArg {
    /// The folder for precompiled components, limited to 2 GiB [default: everstep/components in $XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
}

/// `--keep-warm` and `--memory` of the commands that run executions.
#[derive(clap::Args)]
pub(crate) struct WarmArg {
    /// How long an execution that only waits keeps its instance, such as 500ms or 1h, unless other executions need the room [default: 5s]
    #[arg(long, value_name = "TIME")]
    keep_warm: Option<Span>,
    /// The memory that all instances may use together, such as 2GiB; instances that only wait are released when it is used up
    /// [default: half of the machine's memory]
    #[arg(long, value_name = "SIZE", value_parser = everstep::policy::size)]
    memory: Option<u64>,
}

/// How the host of a command reaches the network, and what nothing in it exceeds.
#[derive(clap::Args)]
pub(crate) struct NetworkArg {
    /// Also trust the certificate authorities in this PEM file; may be repeated
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
    /// Use this name server, such as 127.0.0.1:53, instead of those of the system; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<SocketAddr>,
    /// A policy that no execution exceeds, whatever policy it was started with; read again on SIGHUP
    #[arg(long, value_name = "FILE")]
    pub(crate) ceiling: Option<PathBuf>,
}

/// `--folder` of the commands that run executions of a server.
#[derive(Default, clap::Args)]
pub(crate) struct FoldersArg {
    /// Where the folder of a [[files]] rule lies on this machine, whatever path its policy names: the id of the rule and the folder; may be
    /// repeated
    #[arg(long = "folder", value_name = "ID=PATH")]
    folders: Vec<Located>,
}

/// The id of a `[[files]]` rule, and its folder.
#[derive(Clone)]
struct Located {
    rule: String,
    folder: PathBuf,
}

impl ValueParserFactory for Located {
    type Parser = clap::builder::ValueParser;
    fn value_parser() -> Self::Parser {
        OsStringValueParser::new().try_map(Self::parse).into()
    }
}

impl Located {
    fn parse(text: OsString) -> Result<Self, String> {
        let (rule, folder) = text
            .to_str()
            .and_then(|text| text.split_once('='))
            .filter(|(rule, _)| !rule.is_empty())
            .ok_or("name the rule and the folder: ID=PATH")?;
        let folder = Path::new(folder).canonicalize().map_err(|error| format!("{folder}: {error}"))?;
        if !folder.is_dir() {
            return Err(format!("{} is no folder", folder.display()));
        }
        Ok(Self { rule: rule.to_owned(), folder })
    }
}

impl FoldersArg {
    /// Sets where folders lie.
    pub(crate) fn apply(self, builder: Builder) -> Builder {
        self.folders.into_iter().fold(builder, |builder, Located { rule, folder }| builder.folder(rule, folder))
    }
}

/// What a host is built with besides its store.
pub(crate) struct Settings {
    pub(crate) cache: CacheArg,
    pub(crate) warm: WarmArg,
    pub(crate) network: NetworkArg,
    pub(crate) scope: Scope,
    /// The group of workers, if not the usual one.
    pub(crate) group: Option<String>,
    /// What it runs as a worker on a server.
    pub(crate) components: Vec<Component>,
}

/// A time on the command line: a whole number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(Duration);

impl Span {
    pub(crate) fn duration(self) -> Duration {
        self.0
    }

    pub(crate) fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        everstep::policy::span(text).map(Self)
    }
}

impl Settings {
    /// A host over the store at `place`.
    ///
    /// # Errors
    /// A certificate authority or the ceiling cannot be read.
    pub(crate) fn host(&self, place: &Place) -> Result<Builder, Failure> {
        let place = place.host()?.on_compile(compiling::show);
        let builder = self.cache.folder().into_iter().fold(place, Builder::cache).scope(self.scope);
        let builder = self.group.iter().fold(builder, |builder, group| builder.group(group));
        let builder = self.components.iter().cloned().fold(builder, Builder::component);
        self.network.apply(self.warm.apply(builder))
    }
}

impl WarmArg {
    /// Sets how instances are kept.
    pub(crate) fn apply(&self, builder: Builder) -> Builder {
        let builder = self.keep_warm.into_iter().fold(builder, |builder, span| builder.keep_warm(span.0));
        self.memory.into_iter().fold(builder, Builder::memory)
    }
}

impl NetworkArg {
    /// Sets how a host reaches the network, and its ceiling.
    ///
    /// # Errors
    /// A certificate authority or the ceiling cannot be read.
    pub(crate) fn apply(&self, builder: Builder) -> Result<Builder, Failure> {
        let builder = builder.network(self.options()?);
        Ok(self.ceiling()?.into_iter().fold(builder, Builder::ceiling))
    }

    fn options(&self) -> Result<network::Options, Failure> {
        let options = match self.dns.as_slice() {
            [] => network::Options::system(),
            servers => network::Options::system().with_name_servers(servers),
        };
        options.with_authorities(&self.ca).map_err(|error| Failure::usage(error.to_string()))
    }

    /// The ceiling as its file defines it now.
    pub(crate) fn ceiling(&self) -> Result<Option<Policy>, Failure> {
        Ok(self.ceiling.as_deref().map(Policy::load).transpose()?)
    }
}

impl ValueParserFactory for Place {
    type Parser = clap::builder::ValueParser;
    /// Accepts any folder name, UTF-8 or not.
    fn value_parser() -> Self::Parser {
        OsStringValueParser::new().try_map(Self::parse).into()
    }
}

impl Place {
    fn parse(name: OsString) -> Result<Self, &'static str> {
        match name.to_str() {
            Some("") => Err("the name of the store is empty; name a folder, or memory"),
            Some("memory") => Ok(Self::Memory),
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => Ok(Self::Server(url.to_owned())),
            _ => Ok(Self::Folder(name.into())),
        }
    }

    /// A host over this store.
    ///
    /// # Errors
    /// The server cannot be reached, or is none.
    pub(crate) fn host(&self) -> Result<Builder, Failure> {
        Ok(match self {
            Self::Memory => Everstep::local(),
            Self::Folder(dir) => Everstep::open(dir),
            Self::Server(url) => Everstep::at(remote::connect(url)?),
        })
    }

    /// What a command that starts an execution runs itself, and with which components: on a server that is left to the workers, unless it
    /// is to be one.
    ///
    /// # Errors
    /// A store of this machine has no workers.
    pub(crate) fn part(&self, is_worker: bool, component: &Component) -> Result<(Scope, Vec<Component>), Failure> {
        match (self, is_worker) {
            (Self::Server(_), true) => Ok((Scope::Everything, vec![component.clone()])),
            (Self::Server(_), false) => Ok((Scope::Nothing, Vec::new())),
            (Self::Memory | Self::Folder(_), false) => Ok((Scope::Started, Vec::new())),
            (Self::Memory | Self::Folder(_), true) => Err(Failure::usage(
                "--worker needs a server: this command runs its executions itself in any other store",
            )),
        }
    }

    /// Checks that the store outlives this process.
    ///
    /// # Errors
    /// A memory store does not.
    pub(crate) fn check_survives(&self) -> Result<(), Failure> {
        match self {
            Self::Memory => Err(everstep::Error::NothingSurvives.into()),
            Self::Folder(_) | Self::Server(_) => Ok(()),
        }
    }

    /// Checks that there is a store: opening one in a folder for writing would create it.
    ///
    /// # Errors
    /// There is no store.
    pub(crate) fn existing(&self) -> Result<(), Failure> {
        match self {
            // Whether there is a server is known once it is connected to.
            Self::Server(_) => Ok(()),
            Self::Memory | Self::Folder(_) => self.reader().map(drop),
        }
    }

    /// The store, for reading, even while a host has it open.
    pub(crate) fn reader(&self) -> Result<Reader, Failure> {
        self.reader_of("default")
    }

    /// The same, as a host of that group of workers sees it.
    pub(crate) fn reader_of(&self, group: &str) -> Result<Reader, Failure> {
        match self {
            Self::Memory => Err(everstep::Error::NothingSurvives.into()),
            Self::Folder(dir) => Ok(Reader::open(dir)?),
            Self::Server(_) => Ok(self.host()?.group(group).scope(Scope::Nothing).build()?.reader()),
        }
    }

    /// The option that makes a command work on this store.
    pub(crate) fn option(&self) -> String {
        match self {
            Self::Memory => " --store memory".to_owned(),
            Self::Folder(dir) if dir == Path::new(".everstep") => String::new(),
            Self::Folder(dir) => format!(" --store {}", text::shell_path(dir)),
            Self::Server(url) => format!(" --remote {}", text::shell_path(Path::new(url))),
        }
    }

    /// Checks that a guest cannot write to the store.
    pub(crate) fn check_out_of_reach(&self, policy: &Policy) -> Result<(), Failure> {
        let Self::Folder(dir) = self else { return Ok(()) };
        match policy.writable_at(dir) {
            None => Ok(()),
            Some(rule) => Err(Failure::usage(format!(
                "the store {} lies in the folder that the rule {:?} lets the guest write; put it elsewhere with --store",
                everstep::visible::path(dir),
                rule
            ))),
        }
    }
}

impl CacheArg {
    /// The folder; `None` if the user has no home.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let default = || user_folder("XDG_CACHE_HOME", ".cache").map(|cache| cache.join("everstep/components"));
        self.cache.clone().or_else(default)
    }

    /// A host that looks at components, and runs nothing.
    pub(crate) fn host(&self) -> Result<Everstep, Failure> {
        let host = Everstep::local().on_compile(compiling::show);
        Ok(self.folder().into_iter().fold(host, Builder::cache).build()?)
    }

    /// A component from a file.
    pub(crate) fn component(&self, file: &Path) -> Result<Component, Failure> {
        let component = Component::open(file, self.folder().as_deref());
        component.map_err(Failure::io(format!("cannot read the component {}", everstep::visible::path(file))))
    }
}

/// A folder of the user: from the variable, or below the home folder; `None` if the user has no home.
pub(super) fn user_folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder(variable).or_else(|| folder("HOME").map(|home| home.join(below_home)))
}
