//! Where an attribute stands.

use crate::error::Error;

/// The function that an attribute stands on.
#[derive(Clone, Copy, Debug)]
pub struct CallSite {
    module: &'static str,
    /// The `type_name` of an item inside the function.
    inside: &'static str,
    name: Option<&'static str>,
}

impl CallSite {
    /// The function around `inside`, in `module`.
    #[must_use]
    pub fn new<F>(module: &'static str, inside: F) -> Self {
        let _ = inside;
        Self {
            module,
            inside: std::any::type_name::<F>(),
            name: None,
        }
    }

    /// `name = …`
    pub(crate) fn named(self, name: &'static str) -> Self {
        Self {
            name: Some(name),
            ..self
        }
    }

    /// The name given, or the path.
    #[cfg(feature = "cache")]
    pub(crate) fn name_or_path(&self) -> String {
        self.name.map_or_else(|| self.path(), str::to_owned)
    }

    /// `{module}:{function}`, where the function includes its type.
    pub(crate) fn path(&self) -> String {
        match self.name {
            Some(name) => format!("{}:{name}", self.module),
            None => format!(
                "{}:{}",
                self.module,
                function_name(self.module, self.inside)
            ),
        }
    }
}

/// The error for a value of an attribute, told with the attribute and its function.
pub(crate) fn blame(attribute: &str, function: &str, error: Error) -> Error {
    match error {
        Error::Config { message } => {
            Error::config(format!("#[{attribute}] of {function}: {message}"))
        }
        other => other,
    }
}

/// `shop::cart::<impl Cart>::get::{{closure}}::here` in module `shop::cart`, without what is not a
/// name of the user's.
fn function_name(module: &str, inside: &str) -> String {
    let mut path = inside;
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
        for (module, inside, name) in [
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
            assert_eq!(function_name(module, inside), name);
        }
    }
}
