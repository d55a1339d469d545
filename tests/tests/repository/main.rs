//! Rules about the files of this repository: layers, dependencies, lints, lists that must be equal, and the manual.

mod auto_traits;
mod dependencies;
mod lints;
mod lists_that_belong_together;
mod manual;
mod module_layers;
