//! The function that an attribute is on.

use std::any::type_name;

use crate::error::Error;

/// The function that an attribute is on.
#[derive(Clone, Copy, Debug)]
pub struct CallSite {
    module: &'static str,
    /// The `type_name` of an item inside the function.
    inner_item: &'static str,
    /// The `type_name` of something inside the function that names its generic arguments as well.
    instance: &'static str,
    /// Whether instances that differ only in generic arguments of the function itself share one policy.
    shares_own_generics: bool,
    /// Replaces the name of the function.
    pub(super) name: Option<&'static str>,
    /// How many attributes of this kind are above this one on the function.
    pub(super) index: usize,
}

impl CallSite {
    /// The function of `module` that contains `inner_item`, and `closure`, whose type depends on the
    /// generic arguments.
    #[must_use]
    pub fn new<F, C>(module: &'static str, inner_item: F, closure: C) -> Self {
        let _ = (inner_item, closure);
        Self {
            module,
            inner_item: type_name::<F>(),
            instance: type_name::<C>(),
            shares_own_generics: false,
            name: None,
            index: 0,
        }
    }

    /// As [`CallSite::new`], for instances that differ in the generic arguments of the type or the trait
    /// only, not in those of the function itself.
    #[must_use]
    pub fn sharing<F, C>(module: &'static str, inner_item: F, closure: C) -> Self {
        Self {
            shares_own_generics: true,
            ..Self::new(module, inner_item, closure)
        }
    }

    /// Returns the name without the module if one was set, otherwise the path.
    #[cfg(feature = "cache")]
    pub(super) fn name_or_path(&self) -> String {
        self.name.map_or_else(|| self.path(), str::to_owned)
    }

    /// Returns the name under which values are shared: instances do not share under one name.
    #[cfg(feature = "cache")]
    pub(super) fn shared_name(&self) -> String {
        match (self.name, self.instance()) {
            (Some(name), Some(instance)) => format!("{name}@{instance}"),
            _ => self.name_or_path(),
        }
    }

    /// Whether the function can have other instances: whether the names with and without generic arguments
    /// differ.
    pub(super) fn is_instance(&self) -> bool {
        // With their modules: a parameter `T` is not the type `module::T`.
        without_generated(self.instance) != without_generated(self.inner_item)
    }

    /// Returns the name of the generic instance, if there can be others.
    fn instance(&self) -> Option<String> {
        if !self.is_instance() {
            return None;
        }
        let instance = function_name(self.module, self.instance);
        Some(match self.shares_own_generics {
            true => without_last_arguments(&instance).to_owned(),
            false => instance,
        })
    }

    /// Returns `{module}:{function}`, where the function includes the type of a method. With a name that
    /// was set, the path of an instance is `{module}:{name}@{instance}`.
    pub(super) fn path(&self) -> String {
        let mut path = match (self.name, self.instance()) {
            (Some(name), None) => format!("{}:{name}", self.module),
            (Some(name), Some(instance)) => format!("{}:{name}@{instance}", self.module),
            (None, Some(instance)) => format!("{}:{instance}", self.module),
            (None, None) => {
                let function = function_name(self.module, self.inner_item);
                format!("{}:{function}", self.module)
            }
        };
        if self.index > 0 {
            path += &format!("#{}", self.index + 1);
        }
        path
    }

    /// Adds the attribute and the function to the message of a configuration error.
    pub(super) fn blame(&self, attribute: &str, error: Error) -> Error {
        match error {
            Error::Config { message } => {
                Error::config(format!("#[{attribute}] of {}: {message}", self.path()))
            }
            other => other,
        }
    }
}

/// Removes the module and the generated names from the `type_name` of an item inside a function:
/// `shop::cart::Cart::get::{{closure}}::__premier_here` in `shop::cart` is `Cart::get`.
fn function_name(module: &str, inner_item: &str) -> String {
    without_generated(inner_item).replace(&format!("{module}::"), "")
}

/// Removes the names of what an expansion put into the function.
fn without_generated(inner_item: &str) -> &str {
    let mut path = inner_item;
    for generated in ["__premier_here", "{{closure}}"] {
        while let Some(outer) = path
            .strip_suffix(generated)
            .and_then(|path| path.strip_suffix("::"))
        {
            path = outer;
        }
    }
    path
}

/// Removes the generic arguments at the end of a path: `Cart::get<u8>` is `Cart::get`.
fn without_last_arguments(path: &str) -> &str {
    if !path.ends_with('>') {
        return path;
    }
    let mut depth = 0;
    for (index, character) in path.char_indices().rev() {
        match character {
            // Not the arrow of a function type.
            '>' if !path[..index].ends_with('-') => depth += 1,
            '<' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &path[..index];
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::{function_name, without_last_arguments};

    #[test]
    fn the_last_generic_arguments_are_those_of_the_function() {
        for (path, name) in [
            ("fetch", "fetch"),
            ("fetch<u8>", "fetch"),
            (
                "<Cart as Store<u8>>::get<fn(u8) -> Vec<u8>>",
                "<Cart as Store<u8>>::get",
            ),
            ("Repo<u8>::load", "Repo<u8>::load"),
        ] {
            assert_eq!(without_last_arguments(path), name);
        }
    }

    #[test]
    fn function_names_include_the_type_and_nothing_generated() {
        for (module, inner_item, name) in [
            ("shop", "shop::fetch::__premier_here", "fetch"),
            ("shop", "shop::fetch::{{closure}}::__premier_here", "fetch"),
            (
                "shop::cart",
                "shop::cart::Cart::get::__premier_here",
                "Cart::get",
            ),
            (
                "shop",
                "<shop::Cart as shop::Store>::get::{{closure}}::{{closure}}::__premier_here",
                "<Cart as Store>::get",
            ),
        ] {
            assert_eq!(function_name(module, inner_item), name);
        }
    }
}
