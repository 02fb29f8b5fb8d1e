//! Only tests: see `tests/mailbox.rs`.
