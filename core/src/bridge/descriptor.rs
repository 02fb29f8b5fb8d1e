//! A descriptor that is readable while a flag is up: an eventfd on Linux, a socket pair on other Unix systems.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};

    use rustix::event::{EventfdFlags, eventfd};

    #[derive(Debug)]
    pub(crate) struct Descriptor(OwnedFd);

    impl Descriptor {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Descriptor(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
        }

        pub(crate) fn number(&self) -> i32 {
            self.0.as_raw_fd()
        }

        /// An error could only be that it is up already.
        pub(crate) fn set(&self) {
            let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
        }

        /// An error could only be that it is down already.
        pub(crate) fn clear(&self) {
            let _ = rustix::io::read(&self.0, &mut [0; 8]);
        }
    }
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
mod system {
    use std::io::{self, Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    /// A socket pair and no pipe: writing to it raises no SIGPIPE in any host.
    #[derive(Debug)]
    pub(crate) struct Descriptor {
        reader: UnixStream,
        writer: UnixStream,
    }

    impl Descriptor {
        pub(crate) fn new() -> io::Result<Self> {
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            writer.set_nonblocking(true)?;
            Ok(Descriptor { reader, writer })
        }

        pub(crate) fn number(&self) -> i32 {
            self.reader.as_raw_fd()
        }

        /// An error could only be that it is full, and so readable.
        pub(crate) fn set(&self) {
            let _ = (&self.writer).write(&[1]);
        }

        pub(crate) fn clear(&self) {
            let mut buffer = [0; 64];
            while matches!((&self.reader).read(&mut buffer), Ok(count) if count == buffer.len()) {}
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;

    #[derive(Debug)]
    pub(crate) struct Descriptor(());

    impl Descriptor {
        pub(crate) fn new() -> io::Result<Self> {
            Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "event queues have no descriptor on this system: wait for events, or give the queue a waker",
            ))
        }

        pub(crate) fn number(&self) -> i32 {
            -1
        }

        pub(crate) fn set(&self) {}

        pub(crate) fn clear(&self) {}
    }
}

pub(crate) use system::Descriptor;
