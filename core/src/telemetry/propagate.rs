//! How a trace goes from process to process, and which ones are recorded.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::{HeaderMap, HeaderValue};

use super::options::Propagator;
use super::span;
use crate::observe::{TRACE_BIN, TRACEPARENT, TRACESTATE, TraceContext};

/// See the [module](self).
#[derive(Clone, Debug)]
pub(super) struct Tracing {
    /// Those that are understood, the first one that is there first; all of them are written.
    pub(super) propagators: Vec<Propagator>,
    /// How many traces that begin here are recorded. Others are recorded if they are elsewhere.
    pub(super) ratio: f64,
}

impl Tracing {
    /// The place in a trace that headers name which came from another process.
    pub(super) fn extract(&self, headers: &HeaderMap) -> Option<TraceContext> {
        self.propagators.iter().find_map(|propagator| match propagator {
            Propagator::TraceContext => traceparent(headers),
            Propagator::GrpcTraceBin => {
                let value = headers.get(TRACE_BIN)?.as_bytes();
                let bytes = STANDARD_NO_PAD.decode(value).or_else(|_| STANDARD.decode(value)).ok()?;
                TraceContext::from_binary(&bytes)
            }
        })
    }

    /// The place in a trace that the caller names in a call's metadata: as `traceparent`, in whatever form it is handed on.
    pub(super) fn named(&self, metadata: &HeaderMap) -> Option<TraceContext> {
        traceparent(metadata).or_else(|| self.extract(metadata))
    }

    /// Writes the place into headers, over what is there.
    pub(super) fn inject(&self, context: &TraceContext, headers: &mut HeaderMap) {
        if !self.propagators.contains(&Propagator::TraceContext) {
            // It was meant for us: the next one would find itself beside our span, instead of inside of it.
            headers.remove(TRACEPARENT);
            headers.remove(TRACESTATE);
        }
        for propagator in &self.propagators {
            match propagator {
                Propagator::TraceContext => {
                    if let Ok(value) = HeaderValue::from_bytes(&context.to_traceparent()) {
                        headers.insert(TRACEPARENT, value);
                    }
                    match context.state().map(HeaderValue::from_str) {
                        Some(Ok(state)) => drop(headers.insert(TRACESTATE, state)),
                        _ => drop(headers.remove(TRACESTATE)),
                    }
                }
                Propagator::GrpcTraceBin => {
                    let text = STANDARD_NO_PAD.encode(context.to_binary());
                    if let Ok(value) = HeaderValue::try_from(text) {
                        headers.insert(TRACE_BIN, value);
                    }
                }
            }
        }
    }

    /// The place of a new span behind `parent`, or at the beginning of a trace.
    pub(super) fn begin(&self, parent: Option<&TraceContext>) -> TraceContext {
        match parent {
            // Whoever does not record hands on what it got.
            Some(parent) if !parent.is_sampled() => parent.clone(),
            Some(parent) => parent.child(span::span_id()),
            None => {
                let trace_id = span::trace_id();
                let context = TraceContext::new(trace_id, span::span_id(), self.samples(trace_id));
                context.unwrap_or_else(|| unreachable!("numbers that are made here are not 0"))
            }
        }
    }

    /// Decided by the number of the trace, as OpenTelemetry's ratio sampler does, so that a larger ratio samples what a
    /// smaller one does, and more.
    fn samples(&self, trace_id: [u8; 16]) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace_id;
        let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
        self.ratio >= 1.0 || number < (self.ratio * (1_u64 << 63) as f64) as u64
    }
}

fn traceparent(headers: &HeaderMap) -> Option<TraceContext> {
    // A look at each costs less than the hash of a name: there are few.
    let mut values = headers.iter().filter(|(name, _)| **name == TRACEPARENT).map(|(_, value)| value);
    let context = TraceContext::from_traceparent(values.next()?.as_bytes())?;
    // Several are as good as none.
    let context = values.next().is_none().then_some(context)?;
    // As a rule there is none, or one.
    let states = headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok());
    let states = states.collect::<Vec<_>>().join(",");
    Some(if states.is_empty() { context } else { context.with_state(&states) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracing(propagators: &[Propagator], ratio: f64) -> Tracing {
        Tracing { propagators: propagators.to_vec(), ratio }
    }

    fn context() -> TraceContext {
        TraceContext::new([0xab; 16], [0xcd; 8], true).unwrap()
    }

    #[test]
    fn what_is_written_is_read_by_each_propagator() {
        for propagator in [Propagator::TraceContext, Propagator::GrpcTraceBin] {
            let (one, mut headers) = (tracing(&[propagator], 1.0), HeaderMap::new());
            one.inject(&context(), &mut headers);
            assert_eq!(headers.len(), 1, "{propagator:?}");
            assert_eq!(one.extract(&headers), Some(context()));
            assert_eq!(one.extract(&HeaderMap::new()), None);
        }
        let (both, mut headers) =
            (tracing(&[Propagator::GrpcTraceBin, Propagator::TraceContext], 1.0), HeaderMap::new());
        both.inject(&context().with_state("a=1"), &mut headers);
        assert_eq!(headers.len(), 3);
        headers.insert(TRACE_BIN, HeaderValue::from_static("nonsense"));
        assert_eq!(both.extract(&headers).unwrap().state(), Some("a=1"), "the next one is asked");
    }

    #[test]
    fn two_traceparents_are_none_and_states_are_joined() {
        let (w3c, mut headers) = (tracing(&[Propagator::TraceContext], 1.0), HeaderMap::new());
        w3c.inject(&context().with_state("a=1"), &mut headers);
        headers.append(TRACESTATE, HeaderValue::from_static("b=2"));
        assert_eq!(w3c.extract(&headers).unwrap().state(), Some("a=1,b=2"));
        headers.append(TRACEPARENT, headers[TRACEPARENT].clone());
        assert_eq!(w3c.extract(&headers), None);
    }

    #[test]
    fn callers_name_their_place_in_one_way_whatever_is_handed_on() {
        let binary = tracing(&[Propagator::GrpcTraceBin], 1.0);
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_bytes(&context().to_traceparent()).unwrap());
        headers.insert(TRACESTATE, HeaderValue::from_static("a=1"));
        assert_eq!(binary.named(&headers), Some(context().with_state("a=1")));
        assert_eq!(
            binary.extract(&headers),
            None,
            "from another process it is in the form that was agreed on"
        );
        let span = context().child([1; 8]);
        binary.inject(&span, &mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), [TRACE_BIN], "one form alone is handed on");
        assert_eq!(binary.named(&headers), Some(span), "as bytes will do as well");
    }

    #[test]
    fn state_that_came_from_elsewhere_is_not_left_behind() {
        let (w3c, mut headers) = (tracing(&[Propagator::TraceContext], 1.0), HeaderMap::new());
        headers.insert(TRACESTATE, HeaderValue::from_static("old=1"));
        w3c.inject(&context(), &mut headers);
        assert!(!headers.contains_key(TRACESTATE));
    }

    #[test]
    fn ratio_counts_for_new_traces_alone() {
        let counted = |ratio: f64, parent: Option<&TraceContext>| {
            let tracing = tracing(&[], ratio);
            (0..1000).filter(|_| tracing.begin(parent).is_sampled()).count()
        };
        assert_eq!((counted(0.0, None), counted(1.0, None)), (0, 1000));
        assert!((150..350).contains(&counted(0.25, None)));
        assert_eq!(counted(0.0, Some(&context())), 1000);
        let unsampled = TraceContext::new([1; 16], [1; 8], false).unwrap();
        assert_eq!(counted(1.0, Some(&unsampled)), 0);
    }

    #[test]
    fn spans_of_a_trace_keep_its_number() {
        let tracing = tracing(&[], 1.0);
        let child = tracing.begin(Some(&context().with_state("a=1")));
        assert_eq!((child.trace_id(), child.state()), (context().trace_id(), Some("a=1")));
        assert_ne!(child.span_id(), context().span_id());
    }
}
