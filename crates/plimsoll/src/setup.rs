//! From what was asked for to what an edge can act on: manifest and contracts, or every fault.

use std::path::{Path, PathBuf};

use plimsoll_base::{Clock as _, SystemClock};
use plimsoll_contracts as contracts;
use plimsoll_edge::{ConfigInput, check_api_keys};
use plimsoll_manifest::{self as manifest, Loaded, OriginUrl, Overrides};

use crate::exit::Failure;
use crate::journeys;

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A manifest file.
    File(PathBuf),
    /// No manifest: a backend's URL and perhaps its contract.
    Upstream { url: OriginUrl, contract: Option<PathBuf> },
}

/// A configuration without a fault.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) input: ConfigInput,
    /// The manifest, also where nobody named it; `None`: an upstream alone.
    pub(crate) manifest: Option<PathBuf>,
    /// Every file it was read from; a change of one of them is a reason to read again.
    pub(crate) files: Vec<PathBuf>,
    /// When reading began, in milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) read_since_unix_ms: u64,
}

impl Source {
    /// The manifest asked for, else `./plimsoll.toml`.
    pub(crate) fn find(
        manifest: Option<&Path>,
        upstream: Option<&str>,
        contract: Option<&Path>,
    ) -> Result<Self, Failure> {
        if let Some(url) = upstream {
            let url = url
                .parse()
                .map_err(|error| Failure::faults(vec![format!("--upstream: {error}")]))?;
            return Ok(Self::Upstream { url, contract: contract.map(Path::to_owned) });
        }
        let usual = Path::new("plimsoll.toml");
        match manifest {
            Some(path) => Ok(Self::File(path.to_owned())),
            None if usual.is_file() => Ok(Self::File(usual.to_owned())),
            None => Err(Failure::Failed(
                "no manifest: there is no plimsoll.toml here. Put the edge in front of a backend \
                 with `plimsoll up --upstream http://127.0.0.1:3000`, or write a manifest from its \
                 OpenAPI document with `plimsoll init --openapi openapi.json`"
                    .to_owned(),
            )),
        }
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// Every fault; those of the contracts only when the manifest has none.
    pub(crate) fn load(
        &self,
        data_dir: &Path,
        overrides: &Overrides,
    ) -> Result<Setup, Vec<manifest::Fault>> {
        let read_since_unix_ms = SystemClock::new().unix_ms();
        let mut loaded = match self {
            Self::File(path) => manifest::load_with(path, overrides)?,
            Self::Upstream { url, contract } => {
                Loaded::for_upstream(url.clone(), contract.clone(), Path::new("."), overrides)?
            }
        };
        let routes = contracts::load((&loaded).into(), &contracts::read_contract)?;
        check_api_keys(&routes).map_err(|error| {
            let source = loaded.path.as_deref().unwrap_or(Path::new("command line"));
            vec![manifest::Fault::of_file(source, error.to_string())]
        })?;
        journeys::join(&mut loaded, &routes)?;
        let mut files = loaded.files;
        files.extend(loaded.path.clone());
        let declared = match self {
            Self::File(_) => true,
            Self::Upstream { contract, .. } => contract.is_some(),
        };
        let input = ConfigInput {
            declared,
            manifest: loaded.manifest,
            routes,
            base: loaded.base_dir,
            data_dir: data_dir.to_owned(),
            hash: loaded.hash,
        };
        Ok(Setup { input, manifest: loaded.path, files, read_since_unix_ms })
    }
}

/// Faults of a text itself that people are shown, at most: where it is no manifest at all, each of
/// its lines has one, and only the first says why.
const TEXT_FAULTS_SHOWN_MAX: usize = 10;

/// One line a fault, and one for all that are not shown.
pub(crate) fn lines(faults: &[manifest::Fault]) -> Vec<String> {
    let mut of_text = 0_usize;
    let shown = faults.iter().filter(|fault| {
        of_text += usize::from(fault.key.is_empty() && fault.line.is_some());
        !(fault.key.is_empty() && fault.line.is_some()) || of_text <= TEXT_FAULTS_SHOWN_MAX
    });
    let mut lines: Vec<String> = shown.map(ToString::to_string).collect();
    if let Some(more) = faults.len().checked_sub(lines.len()).filter(|more| *more > 0) {
        lines.push(format!("... and {more} more; `plimsoll check --output json` has them all"));
    }
    lines
}

/// Why nothing was started.
pub(crate) fn failure(faults: &[manifest::Fault]) -> Failure {
    Failure::Faults { lines: lines(faults), count: faults.len() }
}
