//! The order of drops in the edition of 2021.

#[path = "../../tests/language/drop_order.rs"]
mod drop_order;
