//! Structs of options: of all sizes, with all numbers.

use std::ffi::CString;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::ops::Range;
use std::ptr;

use spanwire_c::*;

use super::shelf::Known;
use super::world::{MUST_END, ServerCall, World};
use crate::Input;

/// A struct in memory of exactly its size, with what it points to.
pub(super) struct Held<T> {
    words: Vec<u64>,
    is_null: bool,
    _keep: Keep,
    _struct: PhantomData<T>,
}

/// What pointers point to.
#[derive(Default)]
pub(super) struct Keep {
    texts: Vec<CString>,
    lists: Vec<Vec<*const std::ffi::c_char>>,
    entries: Vec<Vec<spanwire_metadata_entry>>,
    bytes: Vec<Vec<u8>>,
    nested: Vec<Held<spanwire_tls_options>>,
}

impl<T> Held<T> {
    /// A struct as it should be.
    pub(super) fn exact(whole: T, keep: Keep) -> Self {
        Self::sized(&whole, size_of::<T>(), keep)
    }

    /// A struct that may be shorter or longer than the library knows it, or be missing.
    pub(super) fn some(input: &mut Input<'_>, whole: T, keep: Keep) -> Self {
        let size = size_of::<T>();
        let size = match input.byte() {
            0..0xe0 => size,
            0xe0..0xf0 => size_of::<usize>() * (1 + input.below(size / size_of::<usize>())),
            0xf0 => 0,
            0xf1 => 7,
            0xf2 => size + 8,
            0xf3 => 64 * 1024,
            0xf4 => 64 * 1024 + 8,
            0xf5 => usize::MAX,
            0xf6..0xfa => input.byte().into(),
            _ => return Held { is_null: true, ..Self::sized(&whole, size, keep) },
        };
        Self::sized(&whole, size, keep)
    }

    fn sized(whole: &T, size: usize, keep: Keep) -> Self {
        let room = size.clamp(size_of::<usize>(), size_of::<T>()).div_ceil(8);
        let mut words = vec![0u64; room];
        // SAFETY: it has room for so much, which is no more than there is.
        unsafe {
            ptr::copy_nonoverlapping(ptr::from_ref(whole).cast::<u8>(), words.as_mut_ptr().cast(), room * 8)
        };
        words[0] = size as u64;
        Held { words, is_null: false, _keep: keep, _struct: PhantomData }
    }

    pub(super) fn pointer(&self) -> *const T {
        if self.is_null { ptr::null() } else { self.words.as_ptr().cast() }
    }

    /// Whether the library sees the field that ends here.
    pub(super) fn reaches(&self, end: usize) -> bool {
        !self.is_null && self.words[0] >= end as u64
    }

    /// Sets some numbers among those of `fields`, which are numbers only: a pointer may not lead anywhere.
    fn set_numbers(&mut self, input: &mut Input<'_>, fields: Range<usize>) {
        let first = fields.start / 8;
        for _ in 0..input.byte().saturating_sub(0x80) / 0x20 {
            let room = self.words.len().min(fields.end / 8).saturating_sub(first);
            let at = first + usize::from(input.byte()).checked_rem(room).unwrap_or_default();
            let number = number(input);
            if let Some(word) = self.words.get_mut(at) {
                *word = number as u64;
            }
        }
    }
}

fn number(input: &mut Input<'_>) -> i64 {
    let small = input.byte();
    match small {
        0..0x80 => small.into(),
        0x80..0xc0 => input.number().into(),
        _ => input.pick(&[
            -1,
            1000,
            65_535,
            1 << 20,
            i32::MAX.into(),
            u32::MAX.into(),
            1 << 32,
            i64::MAX,
            i64::MIN,
        ]),
    }
}

/// Some text, which ends at its first NUL as C has it.
pub(super) fn text(input: &mut Input<'_>, usual: &[&str]) -> CString {
    let which = input.byte();
    let bytes = match which {
        0..0xe8 => usual[usize::from(which) % usual.len()].as_bytes(),
        _ => input.bytes(),
    };
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).expect("there is no NUL in it")
}

/// Where servers of scripts listen in the process. Other names could be such as only the system can resolve, which takes
/// its own time.
pub(super) fn place(input: &mut Input<'_>) -> CString {
    let name = text(input, &["fuzz-a", "fuzz-b", "fuzz-c"]);
    CString::new([b"inprocess:", name.as_bytes()].concat()).expect("there is no NUL in it")
}

impl Keep {
    pub(super) fn text(&mut self, input: &mut Input<'_>, usual: &[&str]) -> *const std::ffi::c_char {
        let text = text(input, usual);
        let pointer = text.as_ptr();
        self.texts.push(text);
        pointer
    }

    /// A list of at most three.
    pub(super) fn texts(
        &mut self,
        input: &mut Input<'_>,
        usual: &[&str],
    ) -> (*const *const std::ffi::c_char, usize) {
        let count = usize::from(input.byte() % 4);
        let list = (0..count).map(|_| self.text(input, usual)).collect();
        self.lists.push(list);
        let kept = &self.lists[self.lists.len() - 1];
        (kept.as_ptr(), kept.len())
    }

    fn bytes(&mut self, bytes: &[u8]) -> (*const u8, usize) {
        self.bytes.push(bytes.to_vec());
        let kept = &self.bytes[self.bytes.len() - 1];
        (kept.as_ptr(), kept.len())
    }

    /// One entry of metadata, with any key and any value.
    pub(super) fn entry(&mut self, input: &mut Input<'_>) -> spanwire_metadata_entry {
        let keys =
            ["key", "key-bin", "other", "grpc-timeout", "content-type", ":path", "te", "UPPER", "", "-bin"];
        let key = self.text(input, &keys);
        let (value, value_len) = self.bytes(input.bytes());
        let mut entry = spanwire_metadata_entry { key, value: value.cast(), value_len };
        match input.byte() {
            0xf8 => entry.key = ptr::null(),
            0xf9 => entry.value = ptr::null(),
            0xfa => entry.value_len = usize::MAX,
            _ => {}
        }
        entry
    }

    /// Entries of metadata, and how many there are.
    pub(super) fn entries(&mut self, input: &mut Input<'_>) -> (*const spanwire_metadata_entry, usize) {
        let how = input.byte();
        match how {
            0..0x80 => return (ptr::null(), 0),
            0xf8 => return (ptr::null(), 3),
            0xf9 => return (ptr::without_provenance(8), usize::MAX),
            _ => {}
        }
        let entries: Vec<_> = (0..1 + how % 4).map(|_| self.entry(input)).collect();
        self.entries.push(entries);
        let kept = &self.entries[self.entries.len() - 1];
        (kept.as_ptr(), kept.len())
    }

    fn tls(&mut self, input: &mut Input<'_>) -> *const spanwire_tls_options {
        if input.byte() < 0xf0 {
            return ptr::null();
        }
        // SAFETY: zeros are valid in all of its fields.
        let mut tls: spanwire_tls_options = unsafe { std::mem::zeroed() };
        let mut keep = Keep::default();
        tls.danger_accept_any_certificate = input.byte() & 1 != 0;
        for file in [&mut tls.ca_file, &mut tls.certificate_file, &mut tls.key_file, &mut tls.server_name] {
            if input.byte() & 1 != 0 {
                *file = keep.text(input, &["/nowhere", "", "localhost"]);
            }
        }
        if input.byte() & 1 != 0 {
            let (data, len) = keep.bytes(input.bytes());
            (tls.ca_pem, tls.ca_pem_len) = (data.cast(), len);
            (tls.certificate_pem, tls.certificate_pem_len) = (data.cast(), len);
            (tls.key_pem, tls.key_pem_len) = (data.cast(), len);
        }
        let held = Held::some(input, tls, keep);
        let pointer = held.pointer();
        self.nested.push(held);
        pointer
    }
}

fn encoding(input: &mut Input<'_>) -> i32 {
    let which = input.byte();
    if which < 0xf0 { i32::from(which) % 5 } else { i32::from(which) - 0xf8 }
}

/// Service configs: of use, empty, and wrong.
const CONFIGS: [&str; 4] = [
    r#"{"methodConfig":[{"name":[{}],"timeout":"0.05s","retryPolicy":{"maxAttempts":3,"initialBackoff":"0.001s",
        "maxBackoff":"0.01s","backoffMultiplier":2,"retryableStatusCodes":["UNAVAILABLE"]}}]}"#,
    r#"{"loadBalancingConfig":[{"round_robin":{}}],"retryThrottling":{"maxTokens":10,"tokenRatio":0.1}}"#,
    "{}",
    "{",
];

pub(super) fn channel(input: &mut Input<'_>) -> Held<spanwire_channel_options> {
    // SAFETY: zeros are valid in all of its fields.
    let mut options: spanwire_channel_options = unsafe { std::mem::zeroed() };
    let mut keep = Keep::default();
    let has = input.byte();
    options.tls = keep.tls(input);
    if has & 1 != 0 {
        options.authority = keep.text(input, &["fuzz.test", "", "two words"]);
    }
    if has & 2 != 0 {
        options.user_agent = keep.text(input, &["fuzz/1", "", "\u{e9}"]);
    }
    options.keepalive_without_calls = has & 4 != 0;
    options.compression = encoding(input);
    if has & 8 != 0 {
        options.load_balancing =
            keep.text(input, &["round_robin", "pick_first", "least_request", "weighted_round_robin"]);
    }
    if has & 16 != 0 {
        options.service_config = keep.text(input, &CONFIGS);
    }
    if has & 32 != 0 {
        options.bearer_token = keep.text(input, &["token", "", "two words"]);
    }
    if has & 64 != 0 {
        options.bearer_token_file = keep.text(input, &["/nowhere", "/dev/null"]);
    }
    options.idle_timeout_ms = if has & 128 != 0 { number(input) } else { 0 };
    options.name_ttl_ms = options.idle_timeout_ms;
    let mut held = Held::some(input, options, keep);
    let numbers = offset_of!(spanwire_channel_options, connect_timeout_ms);
    held.set_numbers(input, numbers..offset_of!(spanwire_channel_options, load_balancing));
    held
}

pub(super) fn server(input: &mut Input<'_>) -> Held<spanwire_server_options> {
    // SAFETY: zeros are valid in all of its fields.
    let mut options: spanwire_server_options = unsafe { std::mem::zeroed() };
    let mut keep = Keep::default();
    let has = input.byte();
    options.tls = keep.tls(input);
    options.manual_accept = has & 1 != 0;
    options.keepalive_permit_without_calls = has & 2 != 0;
    let mut held = Held::some(input, options, keep);
    let numbers = offset_of!(spanwire_server_options, keepalive_interval_ms);
    held.set_numbers(input, numbers..size_of::<spanwire_server_options>());
    held
}

pub(super) fn engine(input: &mut Input<'_>) -> Held<spanwire_engine_options> {
    let lanes = input.pick(&[0, 1, 2, 3, 0, 0, 1025, u32::MAX]);
    let held = Held::some(input, spanwire_engine_options { size: 0, lanes }, Keep::default());
    assert!(!held.reaches(16) || lanes <= 3 || lanes > 1024, "too many threads for a test");
    held
}

/// Options of one call, with the server's call that they name.
pub(super) struct ForCall {
    pub(super) held: Held<spanwire_call_options>,
    pub(super) credit: u32,
    pub(super) parent: Option<super::shelf::Chosen<ServerCall>>,
}

impl ForCall {
    pub(super) fn known(&self) -> Option<&dyn Known> {
        let parent = self.parent.as_ref().filter(|parent| parent.number != 0)?;
        self.held.reaches(size_of::<spanwire_call_options>()).then_some(parent)
    }
}

impl World {
    /// Options of a call; with a timeout if it has to end by itself.
    pub(super) fn call_options(&self, input: &mut Input<'_>) -> ForCall {
        // SAFETY: zeros are valid in all of its fields.
        let mut options: spanwire_call_options = unsafe { std::mem::zeroed() };
        let mut keep = Keep::default();
        let has = input.byte();
        options.timeout_ms = if MUST_END.get() {
            input.pick(&[20, 1, 50, -1, 5])
        } else {
            input.pick(&[0, 20, 1, 5, 1000, 0, -1, i64::MIN, i64::MAX])
        };
        (options.metadata, options.metadata_count) = keep.entries(input);
        options.compression = encoding(input);
        options.wait_for_ready = has & 1 != 0;
        options.credit = if has & 2 != 0 { number(input) as u32 } else { u32::from(has >> 6) };
        if has & 4 != 0 {
            (options.max_recv_message_bytes, options.max_send_message_bytes) = (number(input), number(input));
        }
        let parent = (has & 0x38 == 0x38).then(|| self.choose(input, &self.server_calls));
        options.parent =
            parent.as_ref().map_or(ptr::null(), |parent| parent.pointer::<spanwire_server_call>());
        let credit = options.credit;
        let held = if MUST_END.get() { Held::exact(options, keep) } else { Held::some(input, options, keep) };
        ForCall { held, credit, parent }
    }
}

pub(super) fn answer(input: &mut Input<'_>) -> Held<spanwire_answer> {
    let mut answer = spanwire_answer::default();
    let mut keep = Keep::default();
    let has = input.byte();
    if has & 1 != 0 {
        (answer.headers, answer.header_count) = keep.entries(input);
    }
    if has & 2 != 0 {
        (answer.trailers, answer.trailer_count) = keep.entries(input);
    }
    if has & 4 != 0 {
        let (details, len) = keep.bytes(input.bytes());
        (answer.details, answer.details_len) = (details.cast(), len);
    }
    if has & 8 != 0 {
        answer.compression = encoding(input);
    }
    let mut held = Held::some(input, answer, keep);
    held.is_null |= has & 0xf == 0;
    held
}
