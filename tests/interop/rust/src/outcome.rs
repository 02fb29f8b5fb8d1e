//! How a case ends.

use std::fmt;

use spanwire::{Code, Status};

/// Why a case did not pass.
#[derive(Debug)]
pub enum Failure {
    /// An assertion did not hold; the text says which.
    Failed(String),
    /// The case needs something that Spanwire does not have; the text says what.
    NotOffered(&'static str),
}

/// What a case gives.
pub type Outcome = Result<(), Failure>;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Failed(text) => write!(f, "FAIL: {text}"),
            Failure::NotOffered(reason) => write!(f, "not offered: {reason}"),
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Failure::Failed(format!("the call failed: {status}"))
    }
}

impl From<spanwire::ChannelError> for Failure {
    fn from(error: spanwire::ChannelError) -> Self {
        Failure::Failed(error.to_string())
    }
}

/// Fails the case with `text` unless `condition` holds.
///
/// # Errors
/// The condition does not hold.
pub fn check(condition: bool, text: impl Into<String>) -> Outcome {
    if condition { Ok(()) } else { Err(Failure::Failed(text.into())) }
}

/// Fails the case unless both values are the same.
///
/// # Errors
/// They differ.
pub fn check_equal<T: PartialEq + fmt::Debug>(found: T, wanted: T, what: &str) -> Outcome {
    if found == wanted {
        return Ok(());
    }
    Err(Failure::Failed(format!("{what}: found {found:?}, wanted {wanted:?}")))
}

/// Fails the case unless the call failed with `code`.
///
/// # Errors
/// The call succeeded or has another code.
pub fn check_code<T>(result: Result<T, Status>, code: Code) -> Outcome {
    match result {
        Ok(_) => Err(Failure::Failed(format!("the call succeeded, {code} was due"))),
        Err(status) if status.code() == code => Ok(()),
        Err(status) => Err(Failure::Failed(format!("{code} was due, the call has {status}"))),
    }
}
