//! tower layers as interceptors.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::{BoxFuture, Call, Interceptor, Next, Reply};
use crate::Status;

/// The rest of the chain as a tower service, for one call: what a layer wraps.
///
/// Each call carries its own [`Next`]; it travels in the call's extensions, so that the wrapped service itself
/// is made once and keeps its state (permits, rates) across calls.
#[derive(Clone, Debug, Default)]
pub struct NextService(());

/// [`Next`] on its way through a tower stack. A layer that repeats a call finds it empty the second time.
#[derive(Clone)]
struct Carried(Arc<Mutex<Option<Next>>>);

impl Service<Call> for NextService {
    type Response = Reply;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Reply, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut call: Call) -> Self::Future {
        let next = call.extensions.remove::<Carried>();
        let next = next.and_then(|carried| carried.0.lock().ok().and_then(|mut slot| slot.take()));
        match next {
            Some(next) => next.run(call),
            None => Box::pin(async {
                Err(Status::internal("a tower layer ran the call twice or dropped its extensions"))
            }),
        }
    }
}

/// A tower layer mounted as an interceptor; made by `layer` on the builders of channels and servers.
///
/// The layer's service is made once. Errors of a layer that are a [`Status`] stay as they are; other errors
/// become UNAVAILABLE when the layer shed load or timed out before the call was handed on (tower does not say
/// which), with the layer's own text.
pub struct LayerInterceptor<S> {
    service: S,
}

impl<S> LayerInterceptor<S> {
    /// Wraps the chain with `layer`.
    pub fn new<L: Layer<NextService, Service = S>>(layer: &L) -> Self {
        LayerInterceptor { service: layer.layer(NextService(())) }
    }
}

impl<S> fmt::Debug for LayerInterceptor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LayerInterceptor")
    }
}

impl<S> Interceptor for LayerInterceptor<S>
where
    S: Service<Call, Response = Reply> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    fn intercept(&self, mut call: Call, next: Next) -> BoxFuture<'static, Result<Reply, Status>> {
        let mut service = self.service.clone();
        call.extensions.insert(Carried(Arc::new(Mutex::new(Some(next)))));
        Box::pin(async move {
            std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(into_status)?;
            service.call(call).await.map_err(into_status)
        })
    }
}

fn into_status<E: Into<Box<dyn Error + Send + Sync>> + 'static>(error: E) -> Status {
    let mut slot = Some(error);
    if let Some(status) = (&mut slot as &mut dyn Any).downcast_mut::<Option<Status>>() {
        return status.take().unwrap_or_default();
    }
    let Some(error) = slot.take() else { return Status::default() };
    match error.into().downcast::<Status>() {
        Ok(status) => *status,
        Err(error) => Status::unavailable(format!("refused by a middleware layer: {error}")),
    }
}
