//! Changing the output in a signature.

use syn::visit_mut::{self, VisitMut};
use syn::{GenericArgument, PathArguments, PathSegment, ReturnType, Signature, Token, Type};

use crate::parse::shape::Shape;

/// Replaces the output in a signature. If the function returns a future, the output of the future
/// is replaced.
pub(super) fn replace_output(signature: &mut Signature, shape: Shape, output: &Type) {
    let span = signature.ident.span();
    if matches!(shape, Shape::Sync | Shape::Async) {
        let arrow = match &signature.output {
            ReturnType::Type(arrow, _) => *arrow,
            ReturnType::Default => Token![->](span),
        };
        signature.output = ReturnType::Type(arrow, Box::new(output.clone()));
        return;
    }
    ReplaceOutput {
        output,
        is_done: false,
    }
    .visit_return_type_mut(&mut signature.output);
}

struct ReplaceOutput<'a> {
    output: &'a Type,
    is_done: bool,
}

impl VisitMut for ReplaceOutput<'_> {
    fn visit_path_segment_mut(&mut self, segment: &mut PathSegment) {
        if self.is_done {
            return;
        }
        let PathArguments::AngleBracketed(arguments) = &mut segment.arguments else {
            return;
        };
        for argument in &mut arguments.args {
            match argument {
                GenericArgument::AssocType(assoc) if assoc.ident == "Output" => {
                    assoc.ty = self.output.clone();
                    self.is_done = true;
                    return;
                }
                _ => {}
            }
        }
        if segment.ident == "BoxFuture"
            && let Some(GenericArgument::Type(last)) = arguments.args.last_mut()
        {
            *last = self.output.clone();
            self.is_done = true;
            return;
        }
        visit_mut::visit_path_segment_mut(self, segment);
    }
}
