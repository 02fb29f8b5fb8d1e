//! What fuzzing feeds into Spanwire, and what must hold whatever comes.
//!
//! Each target is a module with `run(data)`, which panics when a promise is broken; the programs in `fuzz_targets` do
//! nothing but call it. Targets read their input as a script, byte by byte ([`Input`]), so that a small change of the
//! input is a small change of what happens, and a fuzzer that knows nothing of gRPC gets past the first checks.
//!
//! | target | feeds | holds it against |
//! |---|---|---|
//! | [`frames`] | a body in pieces to the deframer | the same body read in one piece ([`body`]) |
//! | [`metadata`] | names, values and received blocks | the rules, written down a second time |
//! | [`status`] | trailers | the rules, and itself: what is read can be written and read again |
//! | [`timeout`] | `grpc-timeout` | the same |
//! | [`web`] | bodies of gRPC-Web in text mode, content types | base64, written down a second time |
//! | [`compressed`] | compressed messages, and some that pretend to be | the limit, and the memory that was taken |
//! | [`dns`] | answers of DNS servers | the addresses that were sent; never more than came; an end |
//! | [`call`] | what HTTP/2 can bring, in any order | the grammar of events; never OK without a whole message |
//! | [`scan`] | HTTP/2 in pieces to the frame watcher | the same bytes read in one piece |
//! | [`server`] | a client's bytes | what a server may answer; every handler ends, and so does the connection |
//! | [`client`] | a server's bytes | every call ends by its deadline; never OK without a whole message |
//! | [`auth`] | tokens, keys and policies | what a good token must say, written down a second time |
//! | [`ffi`] | calls of the C API, from several threads | the books of all calls; nothing is left at the end |

pub mod auth;
pub mod body;
pub mod call;
pub mod client;
pub mod compressed;
pub mod dns;
pub mod ffi;
pub mod frames;
mod input;
pub mod metadata;
pub mod peer;
pub mod scan;
pub mod server;
pub mod status;
pub mod timeout;
pub mod web;

pub use input::Input;

/// Lets one panic pass. In debug builds h2 asserts that no stream is counted when its last handle goes, which does not
/// hold for a handler that ends after its connection did (hyperium/h2 issue 907); nothing depends on it then.
pub(crate) fn let_h2_tear_down() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload().downcast_ref() != Some(&"assertion failed: !self.has_streams()") {
                others(panic);
            }
        }));
    });
}

/// Gives a target the files that are named on the command line: to see again what fuzzing found.
pub fn replay(run: impl Fn(&[u8])) {
    for path in std::env::args_os().skip(1) {
        println!("{}", path.display());
        run(&std::fs::read(&path).expect("a file"));
    }
}
