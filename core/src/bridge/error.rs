//! Why an operation was refused. Nothing was done then, and no event follows from it.

/// Why an operation was refused. Nothing was done then, and no event follows from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// An argument cannot be used; the text says which and why.
    #[error("{0}")]
    Argument(String),
    /// The call has ended, is half-closed, or was answered.
    #[error("{0}")]
    Over(&'static str),
    /// The call's send queue is full: [`Room::Full`](super::Room::Full) was answered, and the writable event has not come.
    #[error("the call has more to send than it may queue: wait for the writable event")]
    Blocked,
    /// It was made before a `fork`, and this is the child.
    #[error(
        "this was made before fork() and its threads are in the parent process: make a new engine, channel or server in \
         the child"
    )]
    Forked,
    /// The engine was shut down, or the queue was closed.
    #[error("{0}")]
    ShutDown(&'static str),
    /// The operating system refused threads, descriptors or an address.
    #[error("{0}")]
    System(String),
}

impl OpError {
    pub(crate) const ENGINE_DOWN: OpError = OpError::ShutDown("the engine was shut down");
    pub(crate) const QUEUE_CLOSED: OpError = OpError::ShutDown("the event queue was closed");
    pub(crate) const CALL_OVER: OpError = OpError::Over("the call is over");
    pub(crate) const HALF_CLOSED: OpError =
        OpError::Over("the call is half-closed: no message can follow the last one");
    pub(crate) const ANSWERED: OpError = OpError::Over("the call was answered already");
}
