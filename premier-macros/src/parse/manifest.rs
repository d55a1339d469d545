//! The name under which the crate being compiled depends on premier.
//!
//! The manifest is read as text: one line of it does not justify compiling a TOML parser.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::{env, fs};

/// Returns the name of the dependency `premier` in the manifest of the crate being compiled.
pub(crate) fn dependency_name() -> String {
    static NAMES: OnceLock<Mutex<HashMap<PathBuf, String>>> = OnceLock::new();
    let Some(manifest) = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from) else {
        return "premier".into();
    };
    let mut names = NAMES
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    names
        .entry(manifest)
        .or_insert_with_key(|manifest| alias(manifest).unwrap_or_else(|| "premier".into()))
        .clone()
}

fn alias(manifest: &Path) -> Option<String> {
    let text = fs::read_to_string(manifest.join("Cargo.toml")).ok()?;
    if let Some(name) = alias_in(&text) {
        return Some(name);
    }
    // With `name.workspace = true` the alias is in the manifest of the workspace.
    manifest.ancestors().skip(1).find_map(|parent| {
        let workspace = fs::read_to_string(parent.join("Cargo.toml")).ok()?;
        let alias = alias_in(&workspace)?;
        let inherited = text.lines().any(|line| {
            let line = line.trim().replace([' ', '_'], "-").replace("--", "-");
            let alias = alias.replace('_', "-");
            line.starts_with(&format!("{alias}.workspace"))
                || line.starts_with(&format!("{alias}-=-{{")) && line.contains("workspace")
        });
        inherited.then_some(alias)
    })
}

/// Finds `alias = { package = "premier", … }`, or `package = "premier"` below
/// `[dependencies.alias]`. A dependency has precedence over a dev-dependency.
fn alias_in(manifest: &str) -> Option<String> {
    let mut table = String::new();
    let mut names: Vec<(bool, String)> = Vec::new();
    for line in manifest.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let compact: String = line
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| if c == '\'' { '"' } else { c })
            .collect();
        if let Some(header) = compact.strip_prefix('[') {
            table = header.trim_end_matches(']').to_owned();
            if table.ends_with("dependencies.premier") {
                names.push((table.contains("dev-"), "premier".into()));
            }
            continue;
        }
        let name = match compact.find("package=\"premier\"") {
            Some(at) => match compact[..at].split_once('=') {
                Some((name, _)) => name,
                None if at == 0 && table.contains("dependencies.") => {
                    table.rsplit('.').next().unwrap_or_default()
                }
                None => continue,
            },
            None if table.ends_with("dependencies")
                && ["premier=", "premier."]
                    .iter()
                    .any(|key| compact.starts_with(key))
                && !compact.contains("package=") =>
            {
                "premier"
            }
            None => continue,
        };
        let name = name.trim_matches('"').replace('-', "_");
        names.push((table.contains("dev-"), name));
    }
    names.sort_by_key(|(dev, _)| *dev);
    names
        .into_iter()
        .next()
        .map(|(_, name)| name)
        .filter(|name| name != "premier")
}

#[cfg(test)]
mod tests {
    use super::alias_in;

    #[test]
    fn an_alias_is_found_in_every_toml_notation() {
        for (manifest, alias) in [
            ("[dependencies]\npremier = \"0.1\"", None),
            (
                "[dependencies]\nlimits = { package = \"premier\", version = \"0.1\" }",
                Some("limits"),
            ),
            (
                "[dependencies]\nmy-limits={version=\"0.1\",package=\"premier\"}",
                Some("my_limits"),
            ),
            (
                "[dependencies.lim]\nversion = \"0.1\"\npackage = \"premier\" # why",
                Some("lim"),
            ),
            (
                "[dependencies]\nother = { package = \"premier-macros\" }",
                None,
            ),
            (
                "[dependencies]\nlimits = { package = 'premier' }",
                Some("limits"),
            ),
            (
                "[dev-dependencies]\nold = { package = \"premier\" }\n[dependencies]\npremier.workspace = true",
                None,
            ),
            (
                "[dev-dependencies.premier]\nversion = \"0.1\"\n[dependencies]\nlim = { package = \"premier\" }",
                Some("lim"),
            ),
        ] {
            assert_eq!(alias_in(manifest).as_deref(), alias, "{manifest}");
        }
    }
}
