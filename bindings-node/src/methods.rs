//! Some methods, by name.

use napi::Result;
use napi_derive::napi;
use spanwire::bridge;

use crate::convert::error::op_error;

/// Methods that an interceptor is for.
#[napi]
pub struct Methods(bridge::Methods);

#[napi]
impl Methods {
    /// # Errors
    /// One of them is no method.
    #[napi(constructor, catch_unwind)]
    pub fn new(methods: Vec<String>) -> Result<Self> {
        bridge::Methods::new(&methods).map(Methods).map_err(|error| op_error(&error))
    }

    /// Whether a method, `/package.Service/Method`, is one of them.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn contain(&self, method: String) -> bool {
        self.0.contain(&method)
    }
}
