//! The compiler's messages for misused attributes: see `tests/messages.rs`.
