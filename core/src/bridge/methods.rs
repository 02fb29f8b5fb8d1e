//! Some methods, by name.

use super::OpError;
use crate::method::Pattern;

/// What hosts have their interceptors of some methods run for: `/package.Service/Method`, or all of a service,
/// `/package.Service/*`.
#[derive(Clone, Debug)]
pub struct Methods(Vec<Pattern>);

impl Methods {
    /// # Errors
    /// [`OpError::Argument`]: one of them is not of these forms.
    pub fn new(methods: &[String]) -> Result<Self, OpError> {
        let methods = Pattern::all(methods);
        methods.map(Methods).map_err(|problem| OpError::Argument(format!("methods: {problem}")))
    }

    /// Whether a method, `/package.Service/Method`, is one of them.
    #[must_use]
    pub fn contain(&self, method: &str) -> bool {
        self.0.iter().any(|methods| methods.matches(method))
    }
}
