//! The dependencies of the published crates keep the rules in `deny.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[derive(Deserialize)]
struct Rules {
    graph: Graph,
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skip>,
}

#[derive(Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    package: String,
    reason: String,
}

fn rules() -> Rules {
    let text = std::fs::read_to_string(format!("{ROOT}/deny.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .current_dir(ROOT)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The packages that a user of the published crates compiles, by "name@version", with their entries
/// in `cargo metadata`.
fn dependencies(rules: &Rules) -> BTreeMap<String, Value> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1"])).unwrap();
    let mut known = BTreeMap::new();
    let mut published = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let text = |field: &str| package[field].as_str().unwrap();
        // Only the packages of this workspace that may be published.
        if package["source"].is_null() && package["publish"].is_null() {
            published.extend(["-p", text("name")]);
        }
        known.insert(
            format!("{}@{}", text("name"), text("version")),
            package.clone(),
        );
    }
    assert!(published.contains(&"premier"), "{published:?}");

    // `cargo metadata` unites the features that any package of the workspace asks for;
    // `cargo tree` resolves them as a user's build does.
    let mut used = BTreeSet::new();
    for target in &rules.graph.targets {
        let mut arguments = vec!["tree", "--all-features", "--edges", "normal,build"];
        arguments.extend(["--prefix", "none", "--format", "{p}", "--target", target]);
        arguments.extend(&published);
        for line in cargo(&arguments).lines() {
            let mut words = line.split_whitespace();
            if let (Some(name), Some(version)) = (words.next(), words.next()) {
                used.insert(format!("{name}@{}", version.trim_start_matches('v')));
            }
        }
    }
    assert!(used.len() > 50, "only {} packages", used.len());
    known.retain(|package, _| used.contains(package));
    assert_eq!(known.len(), used.len());
    known
}

/// Whether an SPDX expression holds when only the licences in `allowed` may be chosen. `OR` binds
/// weaker than `AND`; a slash is the old notation for `OR`.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    fn any(words: &mut std::iter::Peekable<std::vec::IntoIter<String>>, ok: &[String]) -> bool {
        let mut result = all(words, ok);
        while words.next_if(|word| word == "OR").is_some() {
            result |= all(words, ok);
        }
        result
    }
    fn all(words: &mut std::iter::Peekable<std::vec::IntoIter<String>>, ok: &[String]) -> bool {
        let mut result = one(words, ok);
        while words.next_if(|word| word == "AND").is_some() {
            result &= one(words, ok);
        }
        result
    }
    fn one(words: &mut std::iter::Peekable<std::vec::IntoIter<String>>, ok: &[String]) -> bool {
        let mut name = words.next().expect("a licence");
        if name == "(" {
            let result = any(words, ok);
            assert_eq!(words.next().as_deref(), Some(")"));
            return result;
        }
        if words.next_if(|word| word == "WITH").is_some() {
            name = format!("{name} WITH {}", words.next().expect("an exception"));
        }
        ok.contains(&name)
    }

    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<_> = spaced.split_whitespace().map(str::to_owned).collect();
    let mut words = words.into_iter().peekable();
    let result = any(&mut words, allowed);
    assert_eq!(words.next(), None, "in {expression}");
    result
}

#[test]
fn licence_expressions_are_parsed_as_spdx_defines() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND ISC", true),
        ("MIT AND GPL-3.0", false),
        ("GPL-3.0 AND GPL-2.0 OR MIT", true),
        ("MIT OR GPL-3.0 AND GPL-2.0", true),
        ("(MIT OR GPL-3.0) AND GPL-2.0", false),
        ("MIT WITH some-exception", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let rules = rules();
    let mut refused = Vec::new();
    for (package, metadata) in dependencies(&rules) {
        match metadata["license"].as_str() {
            Some(licence) if is_allowed(licence, &rules.licenses.allow) => {}
            licence => refused.push(format!("{package}: {licence:?}")),
        }
    }
    assert!(refused.is_empty(), "not in deny.toml: {refused:#?}");
}

#[test]
fn no_dependency_is_compiled_in_two_versions_without_a_reason() {
    let rules = rules();
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut skipped = BTreeSet::new();
    for package in dependencies(&rules).into_keys() {
        if rules.bans.skip.iter().any(|skip| skip.package == package) {
            skipped.insert(package);
        } else {
            let (name, version) = package.split_once('@').unwrap();
            versions
                .entry(name.to_owned())
                .or_default()
                .push(version.to_owned());
        }
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "two versions of {versions:#?}");
    for skip in &rules.bans.skip {
        assert!(!skip.reason.is_empty(), "{} has no reason", skip.package);
        assert!(
            skipped.contains(&skip.package),
            "{} is no longer used: remove it from deny.toml",
            skip.package
        );
    }
}

#[test]
fn no_dependency_needs_a_newer_compiler_than_premier_states() {
    let dependencies = dependencies(&rules());
    let version = |metadata: &Value| {
        let text = metadata["rust_version"].as_str()?;
        let mut numbers = text.split('.').map(|number| number.parse::<u32>().unwrap());
        Some((numbers.next()?, numbers.next().unwrap_or_default()))
    };
    let (_, premier) = dependencies
        .iter()
        .find(|(package, _)| package.starts_with("premier@"))
        .unwrap();
    let stated = version(premier).expect("premier states its rust-version");
    let newer: Vec<_> = dependencies
        .iter()
        .filter(|(_, metadata)| version(metadata).is_some_and(|needed| needed > stated))
        .map(|(package, metadata)| format!("{package} needs {}", metadata["rust_version"]))
        .collect();
    assert!(
        newer.is_empty(),
        "newer than {}.{}: {newer:#?}",
        stated.0,
        stated.1
    );
}
