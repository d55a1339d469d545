//! What the files of this repository promise about each other: layers, lists, dependencies, lints and the manual.

mod auto_traits;
mod dependencies;
mod lints;
mod lists_that_belong_together;
mod manual;
mod module_layers;
