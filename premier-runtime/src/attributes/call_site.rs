//! The function that an attribute is on.

use crate::error::Error;

/// The function that an attribute is on.
#[derive(Clone, Copy, Debug)]
pub struct CallSite {
    module: &'static str,
    /// The `type_name` of an item inside the function.
    inner_item: &'static str,
    /// Replaces the name of the function.
    pub(super) name: Option<&'static str>,
    /// How many attributes of the same kind are above this one on the function.
    pub(super) index: usize,
}

impl CallSite {
    /// The function of `module` that contains `inner_item`.
    #[must_use]
    pub fn new<F>(module: &'static str, inner_item: F) -> Self {
        let _ = inner_item;
        Self {
            module,
            inner_item: std::any::type_name::<F>(),
            name: None,
            index: 0,
        }
    }

    /// Returns the name without the module if one was set, otherwise the path.
    #[cfg(feature = "cache")]
    pub(super) fn name_or_path(&self) -> String {
        self.name.map_or_else(|| self.path(), str::to_owned)
    }

    /// Returns `{module}:{function}`, where the function includes the type of a method.
    pub(super) fn path(&self) -> String {
        let mut path = match self.name {
            Some(name) => format!("{}:{name}", self.module),
            None => format!(
                "{}:{}",
                self.module,
                function_name(self.module, self.inner_item)
            ),
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
    let mut path = inner_item;
    for generated in ["__premier_here", "{{closure}}"] {
        while let Some(outer) = path
            .strip_suffix(generated)
            .and_then(|path| path.strip_suffix("::"))
        {
            path = outer;
        }
    }
    path.replace(&format!("{module}::"), "")
}

#[cfg(test)]
mod tests {
    use super::function_name;

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
