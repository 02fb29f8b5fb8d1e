//! Messages to send: copied, handed over, passed on, and some that are none.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use spanwire_c::*;

use super::world::{World, lock};
use crate::Input;

/// Memory that was handed over.
pub(super) struct Lent {
    memory: Mutex<Option<Box<[u8]>>>,
    begun: AtomicU32,
    released: AtomicU32,
    /// A call that has nothing to do with it, which is cancelled when it is released.
    other_call: usize,
}

impl Lent {
    pub(super) fn released(&self) -> u32 {
        self.released.load(Ordering::SeqCst)
    }
}

unsafe extern "C" fn release(context: *mut c_void) {
    // SAFETY: the world keeps it until it is released.
    let lent = unsafe { &*context.cast::<Lent>() };
    assert_eq!(lent.begun.fetch_add(1, Ordering::SeqCst), 0, "memory is released twice");
    // Whoever reads it from here on reads what is freed.
    drop(lock(&lent.memory).take());
    if lent.other_call != 0 {
        spanwire_call_cancel(ptr::without_provenance_mut(lent.other_call));
    }
    // The last thing: the world may end with it.
    lent.released.store(1, Ordering::SeqCst);
}

/// A message, to be given to the library once.
pub(super) struct Buffer {
    raw: spanwire_buffer,
    is_null: bool,
    _memory: Option<Box<[u8]>>,
}

impl Buffer {
    pub(super) fn pointer(&self) -> *const spanwire_buffer {
        if self.is_null { ptr::null() } else { &raw const self.raw }
    }
}

impl World {
    /// A message to send, on a call other than `other_call`.
    pub(super) fn buffer(&self, input: &mut Input<'_>, other_call: usize) -> Buffer {
        let how = input.byte();
        let bytes: Vec<u8> = match how & 7 {
            0 | 1 => input.bytes().to_vec(),
            2 => Vec::new(),
            3 => vec![7; usize::from(input.byte()) * 64],
            4 => vec![8; 70_000],
            5 => vec![9; 200_000],
            _ => return self.passed_on(input).unwrap_or_else(|| self.made(b"nothing", 0, 0, other_call)),
        };
        self.made(&bytes, how, input.byte(), other_call)
    }

    fn made(&self, bytes: &[u8], how: u8, flags: u8, other_call: usize) -> Buffer {
        let memory: Box<[u8]> = bytes.into();
        let raw = spanwire_buffer {
            data: memory.as_ptr().cast(),
            len: memory.len(),
            flags: if flags >= 0xf8 { flags.into() } else { u32::from(flags & 3) },
            release: None,
            context: ptr::null_mut(),
        };
        let mut buffer = Buffer { raw, is_null: false, _memory: None };
        match how >> 3 {
            // Handed over.
            0..8 => self.hand_over(&mut buffer, memory, other_call),
            8 => buffer.is_null = true,
            9 => buffer.raw.data = ptr::null(),
            10 => {
                self.hand_over(&mut buffer, memory, 0);
                buffer.raw.data = ptr::null();
            }
            11 => {
                self.hand_over(&mut buffer, memory, 0);
                buffer.raw.len = usize::MAX;
            }
            // Copied.
            _ => buffer._memory = Some(memory),
        }
        buffer
    }

    fn hand_over(&self, buffer: &mut Buffer, memory: Box<[u8]>, other_call: usize) {
        let (begun, released) = Default::default();
        let lent = Arc::new(Lent { memory: Mutex::new(Some(memory)), begun, released, other_call });
        buffer.raw.release = Some(release);
        buffer.raw.context = Arc::as_ptr(&lent).cast_mut().cast();
        lock(&self.lent).push(lent);
    }

    /// Bytes that arrived, sent as they are.
    fn passed_on(&self, input: &mut Input<'_>) -> Option<Buffer> {
        let mut bytes = lock(&self.bytes).pop()?;
        Some(passed_on(&mut bytes.0, u32::from(input.byte() & 3)))
    }
}

/// Bytes that arrived, as a message to send once.
pub(super) fn passed_on(bytes: &mut spanwire_bytes, flags: u32) -> Buffer {
    // SAFETY: they came from the library, and nobody else uses them.
    let raw = unsafe { spanwire_bytes_buffer(bytes, flags) };
    assert!(bytes.data.is_null(), "bytes that were moved are still there");
    Buffer { raw, is_null: false, _memory: None }
}
