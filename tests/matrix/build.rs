//! Writes each shape of function out once for each stack of attributes, with a test that calls it.
//!
//! In `shapes.rs` a shape begins with a line `//@ name: words`, and `//= expression` calls it.
//! `#[attributes]` stands for the stack. The words are attributes that the macros reject on this shape;
//! `async`, if the call is a future; and `infallible`, if its body cannot fail. Attributes that look at
//! errors are left out for these.
//!
//! With `PREMIER_LONG` set there are more stacks.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// From the outside in, as the manual recommends for a client of a service.
const RECOMMENDED: [&str; 6] = [
    "cache",
    "retry",
    "circuit_breaker",
    "concurrency",
    "timeout",
    "throttle",
];

/// The pairs that show what an order means in the manual.
const PAIRS: [[&str; 2]; 6] = [
    ["cache", "throttle"],
    ["retry", "throttle"],
    ["throttle", "retry"],
    ["retry", "timeout"],
    ["circuit_breaker", "retry"],
    ["concurrency", "timeout"],
];

/// What treats a substitute otherwise than a failure, above a fallback.
const ABOVE_FALLBACK: [&str; 5] = ["cache", "retry", "circuit_breaker", "fallback", "throttle"];

/// The attribute as the test of a function expects it.
fn attribute(name: &str) -> &'static str {
    match name {
        "cache" => "#[premier::cache(key = 1, ttl = \"1s\")]",
        "retry" => "#[premier::retry(max = 3, base = 0)]",
        "circuit_breaker" => {
            "#[premier::circuit_breaker(failures = 4, within = \"1h\", open_for = \"1h\")]"
        }
        "concurrency" => "#[premier::concurrency(limit = 1)]",
        "timeout" => "#[premier::timeout(60)]",
        "fallback" => "#[premier::fallback(premier_tests_matrix::substitute)]",
        "throttle" => "#[premier::throttle(quota = 20, duration = \"1h\")]",
        other => panic!("no attribute {other}"),
    }
}

fn stacks() -> Vec<Vec<&'static str>> {
    let mut stacks: Vec<Vec<&str>> = RECOMMENDED.map(|name| vec![name]).into();
    if env::var_os("PREMIER_LONG").is_some() {
        for outer in RECOMMENDED {
            let inner = RECOMMENDED.into_iter().filter(|inner| *inner != outer);
            stacks.extend(inner.clone().map(|inner| vec![outer, inner]));
            // All but one, and each one around or within the others.
            stacks.push(inner.clone().collect());
            stacks.push([outer].into_iter().chain(inner.clone()).collect());
            stacks.push(inner.chain([outer]).collect());
        }
    } else {
        stacks.extend(PAIRS.map(Vec::from));
    }
    stacks.push(RECOMMENDED.into());
    let long = env::var_os("PREMIER_LONG").is_some();
    for position in if long { 0..=RECOMMENDED.len() } else { 0..=0 } {
        let mut stack = Vec::from(RECOMMENDED);
        stack.insert(position, "fallback");
        stacks.push(stack);
    }
    stacks.push(Vec::from(ABOVE_FALLBACK));
    stacks.push(RECOMMENDED.into_iter().rev().collect());
    stacks.sort();
    stacks.dedup();
    stacks
}

struct Shape<'a> {
    name: &'a str,
    words: Vec<&'a str>,
    call: &'a str,
    code: String,
}

impl<'a> Shape<'a> {
    fn parse(text: &'a str) -> Self {
        let (head, rest) = text.split_once('\n').expect("code follows the first line");
        let (name, words) = head.split_once(':').expect("a colon after the name");
        let (call, code) = rest
            .strip_prefix("//= ")
            .and_then(|rest| rest.split_once('\n'))
            .expect("a call follows the first line");
        Self {
            name: name.trim(),
            words: words.split_whitespace().collect(),
            call,
            code: code.to_owned(),
        }
    }

    fn is(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    fn takes(&self, stack: &[&str]) -> bool {
        let looks_at_errors = |name| matches!(name, "retry" | "circuit_breaker" | "fallback");
        let rejects = |name| self.is(name) || self.is("infallible") && looks_at_errors(name);
        !stack.iter().any(|name| rejects(name))
    }

    /// The module of the shape with these attributes. It calls the bare function to compare.
    fn module(&self, stack: &[&str]) -> String {
        let Self { name, call, .. } = self;
        let attributes: Vec<&str> = stack.iter().map(|name| attribute(name)).collect();
        let code = self.code.replace("#[attributes]", &attributes.join("\n"));
        let seen = if self.is("async") {
            format!("premier_tests_matrix::drive({call}).seen()")
        } else {
            format!("{call}.seen()")
        };
        let mut module = format!(
            "pub(crate) mod {name} {{\n#[allow(unused_imports)]\nuse crate::prelude::*;\n\
             static PROBE: Probe = Probe::new();\n{code}\npub(crate) fn call() -> Seen {{ {seen} }}\n"
        );
        if !stack.is_empty() {
            write!(
                module,
                "#[test]\nfn behaves_as_its_body_and_its_attributes_say() {{\n\
                 premier_tests_matrix::check(&Subject {{\nstack: &{stack:?},\nprobe: &PROBE,\ncall,\n\
                 bare: crate::bare::{name}::call,\nis_async: {},\nis_fallible: {},\n}});\n}}\n",
                self.is("async"),
                !self.is("infallible")
            )
            .expect("a string takes everything");
        }
        module + "}\n"
    }
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=shapes.rs");
    println!("cargo::rerun-if-env-changed=PREMIER_LONG");
    let text = fs::read_to_string("shapes.rs").expect("the shapes exist");
    let shapes: Vec<Shape<'_>> = text.split("//@").skip(1).map(Shape::parse).collect();
    let mut matrix = String::new();
    for stack in [vec![]].into_iter().chain(stacks()) {
        let name = match &stack[..] {
            [] => "bare".to_owned(),
            names => names.join("_over_"),
        };
        let shapes = shapes.iter().filter(|shape| shape.takes(&stack));
        let modules: String = shapes.map(|shape| shape.module(&stack)).collect();
        write!(matrix, "pub(crate) mod {name} {{\n{modules}}}\n")
            .expect("a string takes everything");
    }
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("matrix.rs"), matrix).expect("cargo makes the directory");
}
