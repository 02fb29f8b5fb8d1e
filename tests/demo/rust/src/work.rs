//! What the runner asks a client to do, and what the client reports: JSON, the same for all languages.

use serde::{Deserialize, Serialize};

/// Calls to make, per method.
#[derive(Clone, Debug, Deserialize)]
pub struct Work {
    /// Names to ask `Get` for, one call each.
    pub get: Vec<String>,
    /// Questions for `Near`, one call each.
    pub near: Vec<NearQuestion>,
    /// Journeys, one call each; positions as `[latitude, longitude]`.
    pub journey: Vec<Vec<[f64; 2]>>,
    /// Positions for `Locate`, one call each list, one position after the other's answer.
    pub locate: Vec<Vec<[f64; 2]>>,
}

/// One question for `Near`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct NearQuestion {
    /// `[latitude, longitude]`.
    pub position: [f64; 2],
    /// At most this many.
    pub count: u32,
    /// Not farther away than this.
    pub radius_km: f64,
}

/// What one method came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Calls made.
    pub calls: usize,
    /// Messages sent and received.
    pub messages: usize,
    /// Wall-clock time of all calls, one after the other.
    pub seconds: f64,
    /// One answer per call. A failed call's answer is `{"code": number}`.
    pub answers: Vec<serde_json::Value>,
}

/// What a client prints.
#[derive(Clone, Debug, Serialize)]
pub struct Reports {
    /// `Get`.
    pub get: Report,
    /// `Near`.
    pub near: Report,
    /// `Journey`.
    pub journey: Report,
    /// `Locate`.
    pub locate: Report,
}
