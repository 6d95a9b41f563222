//! Dependencies that no line of a crate's own code uses: declared and forgotten, or wanted by tests
//! alone and standing among the normal ones.

use std::fs;
use std::path::Path;

use crate::CheckError;
use crate::finding::{Finding, line_starting};
use crate::house::{House, Member, read_text};
use crate::rust_text;

/// Compares what each crate declares with the names its code uses.
pub(crate) fn check(house: &House) -> Result<Vec<Finding>, CheckError> {
    let mut findings = Vec::new();
    for member in &house.members {
        let mut code = String::new();
        collect(&house.root.join(&member.dir).join("src"), &mut code)?;
        findings.extend(unused(member, &code));
    }
    Ok(findings)
}

fn unused(member: &Member, code: &str) -> Vec<Finding> {
    let normal = member.dependencies.iter().filter(|one| !one.dev);
    normal
        .filter(|one| {
            let name = one.rename.as_ref().unwrap_or(&one.package).replace('-', "_");
            !rust_text::has_word(code, &name)
        })
        .map(|one| {
            Finding::error(
                member.manifest_path(),
                line_starting(&member.manifest, &one.package),
                format!("no code of `{}` uses `{}`", member.word, one.package),
                "remove it, or move it to [dev-dependencies] when only tests use it",
            )
        })
        .collect()
}

/// The code below `dir` without comments, strings and test modules.
pub(crate) fn collect(dir: &Path, code: &mut String) -> Result<(), CheckError> {
    each_source(dir, &mut |source| {
        let bare = rust_text::bare(source);
        let own = bare.find(rust_text::TESTS).map_or(bare.as_str(), |tests| &bare[..tests]);
        code.push_str(own);
        code.push('\n');
    })
}

/// Hands over the text of each Rust file below `dir`, those of tests left out.
pub(crate) fn each_source(dir: &Path, take: &mut impl FnMut(&str)) -> Result<(), CheckError> {
    let io = |source| CheckError::Io { path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "tests" || name == "tests.rs" {
            continue;
        }
        if path.is_dir() {
            each_source(&path, take)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            take(&read_text(&path)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::fixture::Tree;

    fn found(source: &str) -> Vec<String> {
        let rest =
            "[dependencies]\nserde-json = \"1\"\nother = { version = \"1\", package = \"x\" }\n";
        let tree = Tree::workspace("", &[("crates/base", rest)]);
        tree.write("crates/base/src/lib.rs", source);
        check(&tree.house()).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_used_dependency_is_right() {
        assert_eq!(found("use serde_json::Value;\nfn a() { other::b(); }\n"), [""; 0]);
    }

    #[test]
    fn a_dependency_of_comments_strings_or_tests_is_not_used() {
        for source in [
            "use other::b;\n",
            "use other::b; // serde_json\n",
            "use other::b;\nconst A: &str = \"serde_json\";\n",
            "use other::b;\n#[cfg(test)]\nmod tests { use serde_json::Value; }\n",
            "use other::b;\nuse serde_json_core::Value;\n",
        ] {
            let found = found(source);
            assert_eq!(found.len(), 1, "{source}");
            assert!(found[0].contains("`serde-json`"), "{}", found[0]);
        }
    }
}
