//! `plimsoll init`: a commented manifest from an OpenAPI document.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use plimsoll_contracts::{self as contracts, Document};
use plimsoll_manifest::{OpsSection, OriginUrl};

use crate::cli::Init;
use crate::exit::Failure;

/// Where a backend is looked for when neither argument nor document says.
const UPSTREAM_DEFAULT: &str = "http://127.0.0.1:3000";

pub(crate) fn run(arguments: &Init) -> Result<(), Failure> {
    let shown = arguments.openapi.display().to_string();
    let bytes = std::fs::read(&arguments.openapi)
        .map_err(|error| Failure::Failed(format!("cannot read {shown}: {error}")))?;
    let document = contracts::parse_document(&bytes).map_err(|faults| {
        Failure::faults(faults.iter().map(|fault| format!("{shown}: {fault}")).collect())
    })?;
    let upstream = match &arguments.upstream {
        Some(url) => {
            let known: OriginUrl = url
                .parse()
                .map_err(|error| Failure::faults(vec![format!("--upstream: {error}")]))?;
            known.to_string()
        }
        None => server_of(&document).unwrap_or_else(|| UPSTREAM_DEFAULT.to_owned()),
    };
    let named = from_manifest(&arguments.openapi, &arguments.manifest).map_err(Failure::failed)?;
    let manifest = contracts::draft_manifest(Some((&document, &named)), &upstream);
    let target = arguments.manifest.display();
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(&arguments.manifest).map_err(
            |error| match error.kind() {
                io::ErrorKind::AlreadyExists => Failure::Failed(format!(
                    "{target} is there already and is left as it is; write elsewhere with \
                 --manifest FILE"
                )),
                _ => Failure::Failed(format!("cannot write {target}: {error}")),
            },
        )?;
    file.write_all(manifest.as_bytes()).map_err(Failure::failed)?;
    writeln!(io::stdout(), "{}", what_next(&arguments.manifest)).map_err(Failure::unwritten)
}

/// The next commands, and where the board is: the manifest that was written listens there.
fn what_next(manifest: &Path) -> String {
    let (target, board) = (manifest.display(), OpsSection::default().listen.0);
    format!(
        "wrote {target}\n\
         next: read it, then\n  \
           plimsoll check {target}\n  \
           plimsoll plan init --start DATE    (the first of your 90 days, such as 2026-11-30)\n  \
           plimsoll up --manifest {target}\n\
         and see how ready the service is: http://{board}/board"
    )
}

/// The contract as the manifest has to name it: a relative path in a manifest starts where the
/// manifest is, not where the command was typed.
fn from_manifest(contract: &Path, manifest: &Path) -> io::Result<String> {
    let folder = |path: &Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.canonicalize(),
        _ => Path::new(".").canonicalize(),
    };
    let (from, to) = (folder(manifest)?, folder(contract)?);
    let name = contract.file_name().unwrap_or_default();
    if contract.is_absolute() || from == to && contract.components().count() == 1 {
        return Ok(contract.display().to_string());
    }
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let mut path: PathBuf = from.components().skip(shared).map(|_| "..").collect();
    path.extend(to.components().skip(shared));
    path.push(name);
    Ok(path.display().to_string())
}

/// Scheme and authority of the document's first server, where that is a full URL.
fn server_of(document: &Document) -> Option<String> {
    let url = document.value().pointer("/servers/0/url")?.as_str()?;
    let path = url.find("://")? + 3;
    let end = url[path..].find('/').map_or(url.len(), |slash| path + slash);
    url[..end].parse::<OriginUrl>().ok().map(|origin| origin.to_string())
}
