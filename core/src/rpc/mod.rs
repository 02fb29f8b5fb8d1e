//! Rich error details: typed messages inside a status (`google.rpc.Status` in `grpc-status-details-bin`).
//!
//! ```
//! use spanwire::Status;
//! use spanwire::rpc::{BadRequest, Details, bad_request::FieldViolation};
//!
//! let violation = FieldViolation { field: "email".into(), description: "has no @".into(), ..Default::default() };
//! let status = Status::invalid_argument("malformed request")
//!     .with_detail(&BadRequest { field_violations: vec![violation] });
//!
//! // On the client:
//! let bad: BadRequest = status.detail().expect("the server says which field");
//! assert_eq!(bad.field_violations[0].field, "email");
//! ```
//!
//! The messages are the ones that every gRPC implementation knows, from `google/rpc/error_details.proto`;
//! generated messages of your own work as well.

#[allow(unreachable_pub, reason = "generated for any place")]
mod generated;

use prost::{Message, Name};
use prost_types::Any;

pub use generated::google::rpc::*;

use crate::Status as CallStatus;

/// Reads and writes the typed details of a [`spanwire::Status`](crate::Status).
pub trait Details: Sized {
    /// Adds a detail, behind those that are there.
    #[must_use]
    fn with_detail<M: Name>(self, detail: &M) -> Self;

    /// The first detail of this type; `None` if there is none, or if it is malformed.
    fn detail<M: Name + Default>(&self) -> Option<M>;

    /// All details as they are; empty if there are none, or if what came is not a `google.rpc.Status`.
    fn details_any(&self) -> Vec<Any>;

    /// Sets all details as they are.
    #[must_use]
    fn with_details_any(self, details: Vec<Any>) -> Self;
}

/// A message as a detail, and back: for whoever knows the types only when it runs.
pub trait Pack: Sized {
    /// The message in an `Any`.
    fn pack(&self) -> Any;

    /// The message, if it is of this type and not malformed.
    fn unpack(any: &Any) -> Option<Self>;
}

impl<M: Name + Default> Pack for M {
    fn pack(&self) -> Any {
        Any { type_url: M::type_url(), value: self.encode_to_vec() }
    }

    fn unpack(any: &Any) -> Option<Self> {
        let is_it = any.type_url.rsplit('/').next() == Some(&M::full_name());
        if is_it { M::decode(&*any.value).ok() } else { None }
    }
}

impl Details for CallStatus {
    fn with_detail<M: Name>(self, detail: &M) -> Self {
        let mut details = self.details_any();
        details.push(Any { type_url: M::type_url(), value: detail.encode_to_vec() });
        self.with_details_any(details)
    }

    fn detail<M: Name + Default>(&self) -> Option<M> {
        let name = M::full_name();
        let details = self.details_any();
        M::unpack(details.iter().find(|any| any.type_url.rsplit('/').next() == Some(&name))?)
    }

    fn details_any(&self) -> Vec<Any> {
        Status::decode(self.details()).map(|status| status.details).unwrap_or_default()
    }

    fn with_details_any(self, details: Vec<Any>) -> Self {
        let whole = Status { code: self.code() as i32, message: self.message().to_owned(), details };
        self.with_details(whole.encode_to_vec().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_come_back_by_type_and_in_order() {
        let status = CallStatus::not_found("no such zone")
            .with_detail(&ErrorInfo { reason: "GONE".into(), ..Default::default() })
            .with_detail(&RequestInfo { request_id: "7".into(), ..Default::default() });
        assert_eq!(status.detail::<ErrorInfo>().unwrap().reason, "GONE");
        assert_eq!(status.detail::<RequestInfo>().unwrap().request_id, "7");
        assert_eq!(status.detail::<RetryInfo>(), None);
        let whole = Status::decode(status.details()).unwrap();
        assert_eq!((whole.code, whole.message.as_str()), (5, "no such zone"));
        assert_eq!(whole.details[0].type_url, "type.googleapis.com/google.rpc.ErrorInfo");
    }

    #[test]
    fn malformed_details_are_no_details() {
        let status = CallStatus::internal("odd").with_details(b"\xff\xff\xff".as_slice().into());
        assert!(status.details_any().is_empty());
        assert_eq!(status.detail::<ErrorInfo>(), None);
    }
}
