//! Replacing `self` in code of the user.

use proc_macro2::{Delimiter, Group, Ident, Literal, Spacing, TokenStream, TokenTree};
use syn::Lit;

use crate::parse::format::placeholders;

/// Replaces the value `self` by the variable `name`, also in format strings. Paths such as
/// `self::x`, visibilities, and items with a `self` of their own are left alone.
pub(super) fn rename_self(code: TokenStream, name: &Ident) -> TokenStream {
    let mut renamed = TokenStream::new();
    let mut tokens = code.into_iter().peekable();
    let mut before = Before::Other;
    while let Some(token) = tokens.next() {
        let after = std::mem::replace(&mut before, Before::Other);
        match token {
            TokenTree::Ident(word) if word == "self" => {
                let is_path = matches!(
                    tokens.peek(),
                    Some(TokenTree::Punct(mark))
                        if mark.as_char() == ':' && mark.spacing() == Spacing::Joint
                );
                if is_path {
                    renamed.extend([TokenTree::Ident(word)]);
                } else {
                    let mut name = name.clone();
                    name.set_span(word.span());
                    renamed.extend([TokenTree::Ident(name)]);
                }
            }
            TokenTree::Ident(word) if word == "use" || word == "impl" || word == "trait" => {
                renamed.extend([TokenTree::Ident(word)]);
                for token in tokens.by_ref() {
                    let ends = match &token {
                        TokenTree::Punct(mark) => mark.as_char() == ';',
                        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                        _ => false,
                    };
                    renamed.extend([token]);
                    if ends {
                        break;
                    }
                }
            }
            TokenTree::Ident(word) => {
                before = if word == "pub" {
                    Before::Visibility
                } else if FORMAT_MACROS.iter().any(|name| word == name) {
                    Before::FormatMacro
                } else {
                    Before::Other
                };
                renamed.extend([TokenTree::Ident(word)]);
            }
            TokenTree::Punct(mark) => {
                if mark.as_char() == '!' && matches!(after, Before::FormatMacro) {
                    before = Before::MacroArguments;
                }
                renamed.extend([TokenTree::Punct(mark)]);
            }
            TokenTree::Group(group) if !matches!(after, Before::Visibility) => {
                let mut inside = rename_self(group.stream(), name);
                if matches!(after, Before::MacroArguments) {
                    inside = rename_in_format(inside, name);
                }
                let mut inside = Group::new(group.delimiter(), inside);
                inside.set_span(group.span());
                renamed.extend([TokenTree::Group(inside)]);
            }
            token => renamed.extend([token]),
        }
    }
    renamed
}

/// The macros of std and of well-known crates with a format string. In other macros a string may be anything.
const FORMAT_MACROS: [&str; 36] = [
    "anyhow",
    "assert",
    "assert_eq",
    "assert_ne",
    "bail",
    "debug",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "debug_span",
    "ensure",
    "eprint",
    "eprintln",
    "error",
    "error_span",
    "event",
    "eyre",
    "format",
    "format_args",
    "format_err",
    "info",
    "info_span",
    "log",
    "panic",
    "print",
    "println",
    "span",
    "todo",
    "trace",
    "trace_span",
    "unimplemented",
    "unreachable",
    "warn",
    "warn_span",
    "write",
    "writeln",
];

/// What comes before a token.
enum Before {
    /// `pub`
    Visibility,
    /// The name of a macro with a format string.
    FormatMacro,
    /// Such a name and `!`.
    MacroArguments,
    Other,
}

/// Renames `self` in the format string of a macro call, which is the first argument that consists
/// of a string with placeholders.
fn rename_in_format(arguments: TokenStream, name: &Ident) -> TokenStream {
    let mut tokens: Vec<TokenTree> = arguments.into_iter().collect();
    let is_comma = |token: Option<&TokenTree>| match token {
        Some(TokenTree::Punct(mark)) => mark.as_char() == ',',
        Some(_) => false,
        None => true,
    };
    for index in 0..tokens.len() {
        let TokenTree::Literal(literal) = &tokens[index] else {
            continue;
        };
        let is_argument = is_comma(tokens[..index].last()) && is_comma(tokens.get(index + 1));
        if let Lit::Str(text) = Lit::new(literal.clone())
            && is_argument
            && !placeholders(&text.value()).is_empty()
        {
            if let Some(renamed) = renamed_format(&text.value(), name) {
                let mut renamed = Literal::string(&renamed);
                renamed.set_span(literal.span());
                tokens[index] = TokenTree::Literal(renamed);
            }
            break;
        }
    }
    tokens.into_iter().collect()
}

/// Returns the format string with `name` in place of `self`, if `self` is in it.
fn renamed_format(text: &str, name: &Ident) -> Option<String> {
    let mut renamed = text.to_owned();
    for argument in placeholders(text).into_iter().rev() {
        if &text[argument.clone()] == "self" {
            renamed.replace_range(argument, &name.to_string());
        }
    }
    (renamed != text).then_some(renamed)
}
