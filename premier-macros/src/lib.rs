//! Implementation detail of the [`premier`](https://docs.rs/premier) crate: its attribute macros.
//!
//! The stages are `parse`, `validate` and `expand`. Each uses only the stages before it.
//! `attributes` contains one file for each attribute, which uses all three, and the list of all
//! attributes.

mod attributes;
mod expand;
mod parse;
mod validate;

use proc_macro::TokenStream;

use crate::expand::attribute::expand_attribute;

#[doc = include_str!("../docs/cache.md")]
///
/// The [manual](https://docs.rs/premier/latest/premier/#cache) says more.
#[proc_macro_attribute]
pub fn cache(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("cache", arguments, item)
}

#[doc = include_str!("../docs/circuit_breaker.md")]
///
/// The [manual](https://docs.rs/premier/latest/premier/#circuit_breaker) says more.
#[proc_macro_attribute]
pub fn circuit_breaker(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("circuit_breaker", arguments, item)
}

#[doc = include_str!("../docs/concurrency.md")]
///
/// The [manual](https://docs.rs/premier/latest/premier/#concurrency) says more.
#[proc_macro_attribute]
pub fn concurrency(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("concurrency", arguments, item)
}

#[doc = include_str!("../docs/fallback.md")]
///
/// The [manual](https://docs.rs/premier/latest/premier/#fallback) says more.
#[proc_macro_attribute]
pub fn fallback(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("fallback", arguments, item)
}

#[doc = include_str!("../docs/retry.md")]
///
/// The [manual](https://docs.rs/premier/latest/premier/#retry) says more.
#[proc_macro_attribute]
pub fn retry(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("retry", arguments, item)
}

#[doc = include_str!("../docs/throttle.md")]
///
/// The [manual](https://docs.rs/premier/latest/premier/#arguments-of-throttle) says more.
#[proc_macro_attribute]
pub fn throttle(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("throttle", arguments, item)
}

#[doc = include_str!("../docs/timeout.md")]
///
/// The [manual](https://docs.rs/premier/latest/premier/#timeout) says more.
#[proc_macro_attribute]
pub fn timeout(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand("timeout", arguments, item)
}

fn expand(name: &str, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let attribute = attributes::ALL
        .iter()
        .find(|attribute| attribute.name == name)
        .expect("every entry point is in the list of attributes");
    expand_attribute(attribute, attributes::ALL, arguments.into(), item.into()).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use quote::quote;

    use crate::attributes::ALL;
    use crate::expand::attribute::expand_attribute;
    use crate::expand::stack::AttributeMacro;

    /// Returns the arguments that the error for an unknown argument lists.
    fn known_arguments(attribute: &'static AttributeMacro) -> BTreeSet<String> {
        let item = quote!(
            fn function() {}
        );
        let expanded = expand_attribute(attribute, ALL, quote!(unknown = 1), item).to_string();
        let before = format!("#[{}] takes ", attribute.name);
        let (_, list) = expanded
            .split_once(&before)
            .unwrap_or_else(|| panic!("`{before}` is not in {expanded}"));
        let list = list.split('"').next().unwrap_or_default();
        list.split(", ").map(str::to_owned).collect()
    }

    /// Returns the names in the first column of the table: `limit` for `limit = 10`, none for `"5s"`.
    fn documented_arguments(page: &str) -> BTreeSet<String> {
        let cells = page
            .lines()
            .filter_map(|line| line.strip_prefix("| "))
            .map(|row| row.replace("\\|", "").split('|').next().unwrap().to_owned());
        cells
            .flat_map(|cell| {
                let code = cell.split('`').skip(1).step_by(2);
                code.map(|code| {
                    let end = code.find(|c: char| !(c.is_ascii_lowercase() || c == '_'));
                    code[..end.unwrap_or(code.len())].to_owned()
                })
                .collect::<Vec<_>>()
            })
            .filter(|name| !name.is_empty())
            .collect()
    }

    #[test]
    fn the_table_of_each_attribute_has_exactly_its_arguments() {
        for attribute in ALL {
            let path = format!("{}/docs/{}.md", env!("CARGO_MANIFEST_DIR"), attribute.name);
            let page = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!(
                documented_arguments(&page),
                known_arguments(attribute),
                "{path}, and the arguments of the attribute"
            );
        }
    }

    #[test]
    fn each_entry_point_carries_the_page_of_its_attribute() {
        let source = include_str!("lib.rs");
        for attribute in ALL {
            let name = attribute.name;
            let (before, _) = source.split_once(&format!("pub fn {name}(")).unwrap();
            let page = before.rsplit("include_str!(\"../docs/").next().unwrap();
            assert!(page.starts_with(&format!("{name}.md\")")), "{name}: {page}");
        }
    }
}
