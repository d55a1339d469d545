//! How the caller's crate calls premier.
//!
//! `::premier`, unless the manifest gives the dependency another name. That is read from the
//! manifest as text: the one line in question does not warrant a TOML parser in every build.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::{env, fs};

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

/// The path that expansions use: the one the user gave, or the one the manifest tells.
pub(crate) fn crate_path(explicit: Option<&syn::Path>) -> TokenStream {
    let span = Span::mixed_site();
    match explicit {
        Some(path) => quote_spanned!(span=> #path),
        None => {
            let name = Ident::new(&name(), span);
            quote_spanned!(span=> ::#name)
        }
    }
}

/// The static of an attribute, of this type, and the item that tells where it stands.
pub(crate) fn site(krate: &TokenStream, of: &str) -> TokenStream {
    let span = Span::mixed_site();
    let of = Ident::new(of, span);
    quote_spanned! {span=>
        static __PREMIER_SITE: #krate::__private::#of = #krate::__private::#of::new();
        #[allow(clippy::missing_const_for_fn)]
        fn __premier_here() {}
    }
}

/// Where an expansion stands, told by an item `__premier_here` next to it.
pub(crate) fn place(krate: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    quote_spanned!(span=> #krate::__private::Place::new(::core::module_path!(), __premier_here))
}

/// The same path, blamed on other tokens: an error about a call is shown where the path stands.
pub(crate) fn at(path: &TokenStream, span: Span) -> TokenStream {
    let span = span.resolved_at(Span::mixed_site());
    path.clone()
        .into_iter()
        .map(|mut token| {
            token.set_span(span);
            token
        })
        .collect()
}

/// The name under which the crate being compiled depends on premier.
pub(crate) fn name() -> String {
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
        .or_insert_with_key(|manifest| renamed(manifest).unwrap_or_else(|| "premier".into()))
        .clone()
}

fn renamed(manifest: &Path) -> Option<String> {
    let text = fs::read_to_string(manifest.join("Cargo.toml")).ok()?;
    if let Some(name) = alias_in(&text) {
        return Some(name);
    }
    // `name.workspace = true` takes the alias from the workspace's manifest.
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

/// `alias = { package = "premier", … }`, or `package = "premier"` under `[dependencies.alias]`. A
/// dependency of the crate itself counts before those of its tests.
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
    fn an_alias_is_found_however_it_is_written() {
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
