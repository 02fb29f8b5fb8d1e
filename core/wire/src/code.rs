//! The status codes of gRPC (`doc/statuscodes.md` of grpc/grpc).

use std::fmt;
use std::str::FromStr;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $name:literal,)*) => {
        /// How a call ended. The numbers are those on the wire and never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Code {
            $($(#[$doc])* $variant = $number,)*
        }

        impl Code {
            /// Every code, in the order of the numbers.
            pub const ALL: [Code; 17] = [$(Code::$variant),*];

            /// The code of a number on the wire; `None` above 16.
            #[must_use]
            pub const fn from_u32(number: u32) -> Option<Code> {
                match number {
                    $($number => Some(Code::$variant),)*
                    _ => None,
                }
            }

            /// The name as the specification writes it, such as `RESOURCE_EXHAUSTED`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Code::$variant => $name,)*
                }
            }
        }
    };
}

codes! {
    /// The call succeeded.
    Ok = 0 "OK",
    /// The call was cancelled, usually by the caller.
    Cancelled = 1 "CANCELLED",
    /// An error of which nothing better is known.
    Unknown = 2 "UNKNOWN",
    /// The request is wrong whatever the state of the system. Only applications produce it.
    InvalidArgument = 3 "INVALID_ARGUMENT",
    /// The deadline passed before the call was over; the work may have been done all the same.
    DeadlineExceeded = 4 "DEADLINE_EXCEEDED",
    /// What was asked for does not exist. Only applications produce it.
    NotFound = 5 "NOT_FOUND",
    /// What was to be made exists already. Only applications produce it.
    AlreadyExists = 6 "ALREADY_EXISTS",
    /// The caller is known and may not do this.
    PermissionDenied = 7 "PERMISSION_DENIED",
    /// A quota or a limit is used up; a message or metadata too large is this too.
    ResourceExhausted = 8 "RESOURCE_EXHAUSTED",
    /// The system is not in the state that the call needs. Only applications produce it.
    FailedPrecondition = 9 "FAILED_PRECONDITION",
    /// The call lost a race, such as a transaction abort. Only applications produce it.
    Aborted = 10 "ABORTED",
    /// A valid range was left, such as reading past an end. Only applications produce it.
    OutOfRange = 11 "OUT_OF_RANGE",
    /// The method, or the encoding of the request, is not known here.
    Unimplemented = 12 "UNIMPLEMENTED",
    /// An invariant is broken: a malformed frame, a protocol error, a server fault.
    Internal = 13 "INTERNAL",
    /// The service cannot be reached now; a retry with back-off may succeed.
    Unavailable = 14 "UNAVAILABLE",
    /// Data is lost or corrupted for good. Only applications produce it.
    DataLoss = 15 "DATA_LOSS",
    /// The caller did not say, or not prove, who it is.
    Unauthenticated = 16 "UNAUTHENTICATED",
}

impl Code {
    /// The number on the wire.
    #[must_use]
    pub const fn as_u32(self) -> u32 {
        self as u32
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that is none of the seventeen names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCode(String);

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not the name of a gRPC status code", self.0)
    }
}

impl std::error::Error for UnknownCode {}

impl FromStr for Code {
    type Err = UnknownCode;

    /// Reads a name as [`Code::name`] writes it. Upper case only, as service configurations have it.
    fn from_str(name: &str) -> Result<Code, UnknownCode> {
        let found = Code::ALL.into_iter().find(|code| code.name() == name);
        found.ok_or_else(|| UnknownCode(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_up_to_sixteen_is_a_code_and_no_other() {
        for (number, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(Code::from_u32(number as u32), Some(code));
            assert_eq!(code.as_u32(), number as u32);
        }
        assert_eq!(Code::from_u32(17), None);
        assert_eq!(Code::from_u32(u32::MAX), None);
    }

    #[test]
    fn names_read_back_and_others_are_refused() {
        for code in Code::ALL {
            assert_eq!(code.to_string().parse(), Ok(code));
        }
        assert!("not_found".parse::<Code>().is_err());
        assert_eq!(
            "NOPE".parse::<Code>().unwrap_err().to_string(),
            "\"NOPE\" is not the name of a gRPC status code"
        );
    }
}
