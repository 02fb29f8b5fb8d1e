//! In which trace a call is: W3C Trace Context, and gRPC's own older form of it.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::HeaderName;

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub(crate) const TRACE_BIN: HeaderName = HeaderName::from_static("grpc-trace-bin");

/// The longest `tracestate` that is passed on, in bytes. The specification asks for no more.
const MAX_STATE_BYTES: usize = 512;

/// The flags that are passed on: that the trace is recorded, and that its number is random.
const KNOWN_FLAGS: u8 = 0b11;
const SAMPLED: u8 = 0b1;

/// A place in a trace: what a call hands on, so that the calls that are made for it are found beside it.
///
/// As text it is the value of `traceparent`.
///
/// ```
/// let context: spanwire::TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
/// assert!(context.is_sampled());
/// # Ok::<(), spanwire::TraceContextError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
    state: Option<Arc<str>>,
}

/// The text is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not of the form 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, or with a number that is 0")]
pub struct TraceContextError(());

impl TraceContext {
    /// From the numbers of a trace and of a span; `None` if one of them is 0, which stands for none.
    #[must_use]
    pub fn new(trace_id: [u8; 16], span_id: [u8; 8], sampled: bool) -> Option<Self> {
        let valid = trace_id != [0; 16] && span_id != [0; 8];
        valid.then_some(TraceContext { trace_id, span_id, flags: u8::from(sampled), state: None })
    }

    /// The number of the trace.
    #[must_use]
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The number of the span.
    #[must_use]
    pub fn span_id(&self) -> [u8; 8] {
        self.span_id
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// What other tracing systems hand on with it: the value of `tracestate`.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The same with a `tracestate`; one that is malformed or too long is left out.
    #[must_use]
    pub fn with_state(self, state: &str) -> Self {
        let printable = state.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        let fits = !state.is_empty() && state.len() <= MAX_STATE_BYTES && printable;
        TraceContext { state: fits.then(|| state.into()), ..self }
    }

    /// Another span of the same trace.
    pub(crate) fn child(&self, span_id: [u8; 8]) -> Self {
        TraceContext { span_id, ..self.clone() }
    }

    /// The number of the trace as text.
    pub(crate) fn trace_id_text(&self) -> String {
        hex::<32>(&self.trace_id).iter().map(|digit| char::from(*digit)).collect()
    }

    /// The value of `traceparent`.
    pub(crate) fn to_traceparent(&self) -> [u8; TRACEPARENT_LEN] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        text[3..35].copy_from_slice(&hex::<32>(&self.trace_id));
        text[36..52].copy_from_slice(&hex::<16>(&self.span_id));
        text[53..].copy_from_slice(&hex::<2>(&[self.flags]));
        text
    }

    /// Reads the value of `traceparent`.
    pub(crate) fn from_traceparent(text: &[u8]) -> Option<Self> {
        let (known, rest) = text.split_first_chunk::<TRACEPARENT_LEN>()?;
        let [version] = from_hex(&known[..2])?;
        // What later versions add stands behind another dash.
        let ends = if version == 0 { rest.is_empty() } else { rest.is_empty() || rest[0] == b'-' };
        let dashes = known[2] == b'-' && known[35] == b'-' && known[52] == b'-';
        if version == 0xff || !ends || !dashes {
            return None;
        }
        let [flags] = from_hex(&known[53..])?;
        let context = TraceContext::new(from_hex(&known[3..35])?, from_hex(&known[36..52])?, false)?;
        Some(TraceContext { flags: flags & KNOWN_FLAGS, ..context })
    }

    /// The value of `grpc-trace-bin`.
    pub(crate) fn to_binary(&self) -> [u8; BINARY_LEN] {
        let mut bytes = [0; BINARY_LEN];
        bytes[2..18].copy_from_slice(&self.trace_id);
        bytes[18] = 1;
        bytes[19..27].copy_from_slice(&self.span_id);
        bytes[27] = 2;
        bytes[28] = self.flags & SAMPLED;
        bytes
    }

    /// Reads the value of `grpc-trace-bin`: version 0, and three fields behind their numbers.
    pub(crate) fn from_binary(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BINARY_LEN] = bytes.try_into().ok()?;
        if [bytes[0], bytes[1], bytes[18], bytes[27]] != [0, 0, 1, 2] {
            return None;
        }
        let (trace_id, span_id) = (bytes[2..18].try_into().ok()?, bytes[19..27].try_into().ok()?);
        TraceContext::new(trace_id, span_id, bytes[28] & SAMPLED != 0)
    }
}

const TRACEPARENT_LEN: usize = 55;
const BINARY_LEN: usize = 29;

impl FromStr for TraceContext {
    type Err = TraceContextError;

    fn from_str(text: &str) -> Result<Self, TraceContextError> {
        TraceContext::from_traceparent(text.as_bytes()).ok_or(TraceContextError(()))
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_traceparent()).unwrap_or_default())
    }
}

fn hex<const N: usize>(bytes: &[u8]) -> [u8; N] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|index| {
        let byte = bytes[index / 2];
        DIGITS[usize::from(if index % 2 == 0 { byte >> 4 } else { byte & 0xf })]
    })
}

/// Reads small digits only, as the specification asks.
fn from_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// Where the handler that runs on this thread is, if one does and is traced.
pub(crate) fn current() -> Option<TraceContext> {
    CURRENT.with(|current| {
        let context = current.take();
        current.set(context.clone());
        context
    })
}

/// Runs `body` (one poll of a handler) at this place of a trace.
pub(crate) fn scope<R>(context: Option<&TraceContext>, body: impl FnOnce() -> R) -> R {
    /// Puts the outer place back, also when `body` panics.
    struct Restore(Option<TraceContext>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    // As a rule nothing is traced, and nothing was.
    let Some(context) = context else { return body() };
    let _restore = Restore(CURRENT.replace(Some(context.clone())));
    body()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn traceparent_comes_back_as_it_was() {
        let context: TraceContext = TEXT.parse().unwrap();
        assert_eq!(context.to_string(), TEXT);
        assert_eq!(context.trace_id_text(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.span_id(), [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
        assert!(context.is_sampled());
    }

    // W3C Trace Context, "Versioning of traceparent" and "traceparent Header Field Values"
    #[test]
    fn malformed_traceparents_are_none() {
        for text in [
            "",
            "00",
            &TEXT[..54],
            &format!("{TEXT}-more"),
            &TEXT.to_uppercase(),
            &TEXT.replace('-', "_"),
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        ] {
            assert!(text.parse::<TraceContext>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        let later = format!("cc{}-what-the-future-will-be-like", &TEXT[2..]);
        assert_eq!(later.parse::<TraceContext>().unwrap().to_string(), TEXT);
        assert!(format!("cc{}.more", &TEXT[2..]).parse::<TraceContext>().is_err());
        let flags =
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff".parse::<TraceContext>().unwrap();
        assert!(flags.to_string().ends_with("-03"), "unknown flags are not passed on");
    }

    #[test]
    fn states_that_are_too_long_or_odd_are_left_out() {
        let context: TraceContext = TEXT.parse().unwrap();
        let with = |state: &str| context.clone().with_state(state).state().map(str::to_owned);
        assert_eq!(with("a=1,b=2").as_deref(), Some("a=1,b=2"));
        assert_eq!(with(&"x".repeat(MAX_STATE_BYTES)).map(|state| state.len()), Some(MAX_STATE_BYTES));
        for odd in ["", "a=\n", "a=ä", &"x".repeat(MAX_STATE_BYTES + 1)] {
            assert_eq!(with(odd), None, "{odd:?}");
        }
    }

    // OpenCensus, "Binary Encoding", as gRFC A72 has it
    #[test]
    fn binary_form_has_its_fields_in_their_places() {
        let context: TraceContext = TEXT.parse().unwrap();
        let bytes = context.to_binary();
        assert_eq!([bytes[0], bytes[1], bytes[18], bytes[27], bytes[28]], [0, 0, 1, 2, 1]);
        assert_eq!(TraceContext::from_binary(&bytes), Some(context));
        for (place, value) in [(0, 1), (1, 1), (18, 2), (27, 1)] {
            let mut odd = bytes;
            odd[place] = value;
            assert_eq!(TraceContext::from_binary(&odd), None, "byte {place}");
        }
        assert_eq!(TraceContext::from_binary(&bytes[..28]), None);
        assert_eq!(TraceContext::from_binary(&[&bytes[..], &[0]].concat()), None);
    }

    #[test]
    fn scopes_nest_and_restore_on_panic() {
        let outer: TraceContext = TEXT.parse().unwrap();
        scope(Some(&outer), || {
            let inner = outer.child([1; 8]);
            let caught = std::panic::catch_unwind(|| scope(Some(&inner), || panic!("inside")));
            assert!(caught.is_err());
            assert_eq!(current().as_ref(), Some(&outer));
        });
        assert_eq!(current(), None);
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(context) = TraceContext::from_traceparent(&bytes) {
                prop_assert_eq!(&context.to_traceparent()[2..53], &bytes[2..53]);
            }
            if let Some(context) = TraceContext::from_binary(&bytes) {
                prop_assert_eq!(&context.to_binary()[..28], &bytes[..28]);
            }
        }

        #[test]
        fn every_context_comes_back(trace in any::<[u8; 16]>(), span in any::<[u8; 8]>(), sampled: bool) {
            if let Some(context) = TraceContext::new(trace, span, sampled) {
                prop_assert_eq!(TraceContext::from_traceparent(&context.to_traceparent()), Some(context.clone()));
                prop_assert_eq!(TraceContext::from_binary(&context.to_binary()), Some(context));
            }
        }

        #[test]
        fn texts_of_the_right_shape_never_panic(text in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,8})?") {
            let _ = TraceContext::from_traceparent(text.as_bytes());
        }
    }
}
