//! The workspace as `cargo metadata` declares it: its members and what each depends on.

use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::CheckError;

/// The workspace.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) root: PathBuf,
    pub(crate) members: Vec<Member>,
}

/// One crate of the workspace.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) package: String,
    /// Its directory's own name, which is its word: `http-kit`.
    pub(crate) word: String,
    /// Its directory relative to the root: `crates/http-kit`.
    pub(crate) dir: String,
    /// Text of its `Cargo.toml`.
    pub(crate) manifest: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One declared dependency.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) package: String,
    /// The name it has in code, where `Cargo.toml` renames it.
    pub(crate) rename: Option<String>,
    /// Whether only tests, benches and examples see it.
    pub(crate) dev: bool,
}

impl House {
    /// Reads the workspace that holds `here`. Nothing is resolved, so no network is needed.
    pub(crate) fn read(here: &Path) -> Result<Self, CheckError> {
        let metadata = MetadataCommand::new().current_dir(here).no_deps().exec()?;
        let root = metadata.workspace_root.clone().into_std_path_buf();
        let mut members = Vec::new();
        for package in metadata.workspace_packages() {
            let dir = package.manifest_path.parent().unwrap_or(&package.manifest_path);
            let relative = dir.strip_prefix(&metadata.workspace_root).unwrap_or(dir);
            members.push(Member {
                package: package.name.to_string(),
                word: relative.file_name().unwrap_or_default().to_owned(),
                dir: relative.as_str().replace('\\', "/"),
                manifest: read_text(package.manifest_path.as_std_path())?,
                dependencies: package
                    .dependencies
                    .iter()
                    .map(|one| Dependency {
                        package: one.name.clone(),
                        rename: one.rename.clone(),
                        dev: one.kind == DependencyKind::Development,
                    })
                    .collect(),
            });
        }
        members.sort_by(|a, b| a.dir.cmp(&b.dir));
        Ok(Self { root, members })
    }

    /// The member that has this package name.
    pub(crate) fn member(&self, package: &str) -> Option<&Member> {
        self.members.iter().find(|one| one.package == package)
    }
}

impl Member {
    /// Its `Cargo.toml`, relative to the root.
    pub(crate) fn manifest_path(&self) -> String {
        format!("{}/Cargo.toml", self.dir)
    }
}

/// Reads a text file, and names it when it cannot be read.
pub(crate) fn read_text(path: &Path) -> Result<String, CheckError> {
    fs::read_to_string(path).map_err(|source| CheckError::Io { path: path.to_owned(), source })
}

/// Small workspaces in temporary directories, for the tests of every check.
#[cfg(test)]
pub(crate) mod fixture {
    use super::*;

    /// A temporary tree; gone when dropped.
    pub(crate) struct Tree(tempfile::TempDir);

    impl Tree {
        /// Writes the given files (path, text).
        pub(crate) fn new(files: &[(&str, &str)]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for (path, text) in files {
                tree.write(path, text);
            }
            tree
        }

        /// A workspace with these members: (directory, rest of its `Cargo.toml` after `[package]`).
        /// Packages are named by the rule of the house.
        pub(crate) fn workspace(dependencies: &str, members: &[(&str, &str)]) -> Self {
            let list: Vec<String> = members.iter().map(|(dir, _)| format!("{dir:?}")).collect();
            let root = format!(
                "[workspace]\nresolver = \"3\"\nmembers = [{}]\n[workspace.dependencies]\n{}\n",
                list.join(", "),
                dependencies
            );
            let tree = Self::new(&[("Cargo.toml", root.as_str())]);
            for (dir, rest) in members {
                let word = dir.rsplit('/').next().unwrap();
                let package = match dir.strip_prefix("crates/") {
                    Some("plimsoll") | None => word.to_owned(),
                    Some(_) => format!("plimsoll-{word}"),
                };
                let manifest = format!(
                    "[package]\nname = \"{package}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                     {rest}\n"
                );
                tree.write(&format!("{dir}/Cargo.toml"), &manifest);
                tree.write(&format!("{dir}/src/lib.rs"), "//! A crate.\n");
            }
            tree
        }

        pub(crate) fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        pub(crate) fn root(&self) -> &Path {
            self.0.path()
        }

        pub(crate) fn house(&self) -> House {
            House::read(self.root()).unwrap()
        }
    }
}
