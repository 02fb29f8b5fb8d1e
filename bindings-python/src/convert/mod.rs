//! Data across the boundary: what Python hands over becomes the bridge's, and back.

pub(crate) mod details;
pub(crate) mod identity;
mod lent;
pub(crate) mod message;
pub(crate) mod metadata;
pub(crate) mod methods;
pub(crate) mod options;
pub(crate) mod status;
