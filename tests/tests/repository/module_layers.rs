//! Modules form layers without cycles: each module uses only modules below it.
//!
//! ARCHITECTURE.md lists the top-level modules ("rooms") between the marks `rooms of` and `end`,
//! lowest first. The test reads every `crate::`, `super::` and `self::` path of a crate and
//! resolves it to the file that defines the name. It follows re-exports, which are no dependencies
//! themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Module = Vec<String>;

/// One file of a crate.
struct Source {
    /// The code without comments, strings and unit tests.
    code: String,
    /// The names that the file re-exports, with the paths they come from.
    reexports: BTreeMap<String, Module>,
}

struct Crate {
    sources: BTreeMap<Module, Source>,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn module_of(root: &Path, file: &Path) -> Module {
    let relative = file.strip_prefix(root).unwrap().with_extension("");
    let mut module: Module = relative
        .components()
        .map(|part| part.as_os_str().to_str().unwrap().to_owned())
        .collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Removes comments, strings and unit tests.
fn stripped(text: &str) -> String {
    let text = text.split("#[cfg(all(test,").next().unwrap();
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let mut code = String::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap();
        let mut quoted = false;
        for character in line.chars() {
            if character == '"' {
                quoted = !quoted;
            } else if !quoted {
                code.push(character);
            }
        }
        code.push('\n');
    }
    code
}

/// The single paths of a `use` tree.
fn flat(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else {
        return vec![tree.trim().to_owned()];
    };
    let (prefix, inner) = (&tree[..open], &tree[open + 1..tree.rfind('}').unwrap()]);
    let (mut paths, mut depth, mut part) = (Vec::new(), 0, String::new());
    for character in inner.chars().chain([',']) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !part.trim().is_empty() {
                    let item = format!("{}{}", prefix.trim(), part.trim());
                    paths.extend(flat(&item));
                }
                part.clear();
                continue;
            }
            _ => {}
        }
        part.push(character);
    }
    paths
}

/// The path from the crate's root, and the name by which this module knows it.
fn absolute(path: &str, module: &Module) -> Option<(Module, String)> {
    let (path, alias) = match path.split_once(" as ") {
        Some((path, alias)) => (path, Some(alias.trim().to_owned())),
        None => (path, None),
    };
    let mut segments: Vec<String> = path
        .split("::")
        .map(|segment| segment.trim().to_owned())
        .collect();
    if segments.last().is_some_and(|last| last == "self") {
        segments.pop();
    }
    let mut base = match segments.first().map(String::as_str) {
        Some("crate") => Vec::new(),
        Some("self" | "super") => module.clone(),
        _ => return None,
    };
    for segment in segments {
        match segment.as_str() {
            "crate" | "self" => {}
            "super" => {
                base.pop();
            }
            _ => base.push(segment),
        }
    }
    let name = alias.unwrap_or_else(|| base.last().cloned().unwrap_or_default());
    Some((base, name))
}

/// The paths of all `use` declarations, each with whether it is a re-export, and the code without
/// them.
fn uses(code: &str) -> (Vec<(bool, String)>, String) {
    let (mut found, mut other) = (Vec::new(), String::new());
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let before = rest[..at].trim_end();
        let starts = before.is_empty()
            || before.ends_with([';', '}', '{', ']', ')'])
            || before.ends_with("pub");
        let end = rest[at..].find(';').map_or(rest.len(), |end| at + end);
        other.push_str(&rest[..at]);
        if starts {
            let is_public = before.ends_with("pub") || before.ends_with(')');
            found.extend(flat(&rest[at + 4..end]).into_iter().map(|p| (is_public, p)));
        } else {
            other.push_str(&rest[at..end]);
        }
        rest = &rest[end..];
    }
    other.push_str(rest);
    (found, other)
}

/// Every path in the code that begins with `crate::`, `super::` or `self::`, outside of `use`.
fn inline_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let is_part = code[..at]
                .chars()
                .next_back()
                .is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$');
            if is_part {
                continue;
            }
            let path: String = code[at..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':')
                .collect();
            paths.push(path.trim_end_matches(':').to_owned());
        }
    }
    paths
}

impl Crate {
    fn read(root: &Path) -> Self {
        let mut found = Vec::new();
        files(root, &mut found);
        let mut sources = BTreeMap::new();
        for file in found {
            let module = module_of(root, &file);
            let code = stripped(&fs::read_to_string(&file).unwrap());
            let reexports = uses(&code)
                .0
                .into_iter()
                .filter(|(is_public, _)| *is_public)
                .filter_map(|(_, path)| absolute(&path, &module))
                .map(|(path, name)| (name, path))
                .collect();
            sources.insert(module, Source { code, reexports });
        }
        Self { sources }
    }

    /// The file that defines what a path names.
    fn defines(&self, path: &Module) -> Module {
        let mut path = path.clone();
        for _ in 0..16 {
            let file = (0..=path.len())
                .rev()
                .map(|length| path[..length].to_vec())
                .find(|module| self.sources.contains_key(module))
                .unwrap();
            let Some(name) = path.get(file.len()) else {
                return file;
            };
            match self.sources[&file].reexports.get(name) {
                Some(from) if *from != path => {
                    let rest = path[file.len() + 1..].to_vec();
                    path = [from.clone(), rest].concat();
                }
                _ => return file,
            }
        }
        panic!("{path:?} is re-exported in a circle");
    }

    /// The files that each file depends on.
    fn dependencies(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        self.sources
            .iter()
            .map(|(module, source)| {
                let (used, code) = uses(&source.code);
                let used = used
                    .into_iter()
                    .filter(|(is_public, _)| !is_public)
                    .map(|(_, path)| path);
                let taken = used
                    .chain(inline_paths(&code))
                    .filter_map(|path| absolute(&path, module))
                    .map(|(path, _)| path)
                    .filter(|path| !path.is_empty())
                    .map(|path| self.defines(&path))
                    // A path through the crate root is a re-export, which defines nothing.
                    .filter(|of| of != module && !of.is_empty())
                    .collect();
                (module.clone(), taken)
            })
            .collect()
    }
}

/// A path from a node back to itself, if there is one.
fn cycle(graph: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<String>> {
    fn visit(
        node: &Module,
        graph: &BTreeMap<Module, BTreeSet<Module>>,
        path: &mut Vec<Module>,
        done: &mut BTreeSet<Module>,
    ) -> Option<Vec<Module>> {
        if let Some(at) = path.iter().position(|other| other == node) {
            return Some(path[at..].to_vec());
        }
        if done.contains(node) {
            return None;
        }
        path.push(node.clone());
        for next in graph.get(node).into_iter().flatten() {
            if let Some(found) = visit(next, graph, path, done) {
                return Some(found);
            }
        }
        path.pop();
        done.insert(node.clone());
        None
    }
    let mut done = BTreeSet::new();
    graph
        .keys()
        .find_map(|node| visit(node, graph, &mut Vec::new(), &mut done))
        .map(|way| way.iter().map(|module| module.join("::")).collect())
}

/// The rooms of a crate in ARCHITECTURE.md, lowest first.
fn rooms(name: &str) -> Vec<String> {
    let text = fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let begin = format!("<!-- rooms of {name} -->");
    let table = text
        .split_once(&begin)
        .unwrap_or_else(|| panic!("ARCHITECTURE.md has no {begin}"))
        .1
        .split_once("<!-- end -->")
        .unwrap()
        .0;
    table
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once('`'))
        .map(|(room, _)| room.to_owned())
        .collect()
}

fn assert_layered(name: &str) {
    let dependencies = Crate::read(&workspace().join(name).join("src")).dependencies();
    assert_eq!(cycle(&dependencies), None, "files of {name} form a cycle");

    let rooms = rooms(name);
    let room_of = |module: &Module| {
        let first = module.first().map_or("lib", String::as_str);
        rooms
            .iter()
            .position(|room| room == first)
            .unwrap_or_else(|| panic!("{first} of {name} is no room of ARCHITECTURE.md"))
    };
    for (module, taken) in dependencies.iter().filter(|(module, _)| !module.is_empty()) {
        for other in taken {
            assert!(
                room_of(other) <= room_of(module),
                "{} of {name} knows {}, which is above it",
                module.join("::"),
                other.join("::")
            );
        }
    }
}

#[test]
fn modules_of_the_runtime_use_only_modules_below_them() {
    assert_layered("premier-runtime");
}

#[test]
fn modules_of_the_macros_use_only_modules_below_them() {
    assert_layered("premier-macros");
}

/// Shows that the tests above can fail.
#[test]
fn a_cycle_is_found() {
    let module = |name: &str| vec![name.to_owned()];
    let graph = BTreeMap::from([
        (module("a"), BTreeSet::from([module("b")])),
        (module("b"), BTreeSet::from([module("c")])),
        (module("c"), BTreeSet::from([module("b")])),
    ]);
    assert_eq!(cycle(&graph), Some(vec!["b".to_owned(), "c".to_owned()]));
    let code =
        "use crate::a::{b, c::{D, E as F}};\npub(crate) use self::g::H;\nlet x = super::i::j();";
    let (used, other) = uses(code);
    let paths: Vec<_> = used.into_iter().map(|(_, path)| path).collect();
    assert_eq!(
        paths,
        [
            "crate::a::b",
            "crate::a::c::D",
            "crate::a::c::E as F",
            "self::g::H"
        ]
    );
    assert_eq!(inline_paths(&other), ["super::i::j"]);
}
