//! The details of a status.
