//! Data: types in, types out; no state.

pub(crate) mod error;
pub(crate) mod metadata;
pub(crate) mod options;
