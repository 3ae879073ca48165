//! A compressed packet on its way from one container to another.
#![expect(unsafe_code, reason = "owns an AVPacket")]

use std::slice;

use ffmpeg_sys_the_third as ffi;

/// An owned `AVPacket`; its bytes are reference counted.
pub struct Packet(*mut ffi::AVPacket);

// SAFETY: the packet is owned by this value alone, and its buffer's reference count is atomic.
unsafe impl Send for Packet {}

impl Packet {
    pub(crate) fn new() -> Self {
        // SAFETY: plain allocation.
        let packet = unsafe { ffi::av_packet_alloc() };
        assert!(!packet.is_null(), "out of memory");
        Self(packet)
    }

    pub(crate) fn as_ptr(&self) -> *mut ffi::AVPacket {
        self.0
    }

    pub(crate) fn raw(&self) -> &ffi::AVPacket {
        // SAFETY: never null, owned by `self`.
        unsafe { &*self.0 }
    }

    pub(crate) fn raw_mut(&mut self) -> &mut ffi::AVPacket {
        // SAFETY: never null, owned by `self` alone.
        unsafe { &mut *self.0 }
    }

    /// Index of its stream in the file it was read from.
    pub fn stream(&self) -> usize {
        self.raw().stream_index as usize
    }

    /// The compressed data.
    pub(crate) fn data(&self) -> &[u8] {
        let raw = self.raw();
        if raw.data.is_null() {
            return &[];
        }
        // SAFETY: a packet has `size` readable bytes behind its pointer, owned by it.
        unsafe { slice::from_raw_parts(raw.data, raw.size as usize) }
    }

    /// Size of the compressed data in bytes.
    pub fn size_bytes(&self) -> usize {
        self.raw().size as usize
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // SAFETY: frees the packet this value owns.
        unsafe { ffi::av_packet_free(&raw mut self.0) }
    }
}
