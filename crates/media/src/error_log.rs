//! FFmpeg's own error log, counted per clip. It often is the only trace of damage: a demuxer that skips bytes and a
//! decoder that conceals a block return no error.
//!
//! Invariant: only the constant part of a message is kept, so nothing that a file contains reaches the user.
#![expect(
    unsafe_code,
    reason = "is called by FFmpeg, and forwards its arguments"
)]
#![allow(
    clippy::missing_transmute_annotations,
    reason = "the type of a `va_list` has another name on each platform"
)]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

use ffmpeg_sys_the_third as ffi;

/// Kinds that are told apart; more are counted only.
const MAX_KINDS: usize = 32;
/// Longest text of a kind, in characters.
const MAX_KIND_CHARS: usize = 80;

/// The errors logged about one clip, by its demuxer and its decoder.
#[derive(Debug, Default)]
pub(crate) struct ErrorLog {
    total: AtomicU64,
    kinds: Mutex<BTreeMap<String, u64>>,
}

impl ErrorLog {
    /// An empty log. The first one makes FFmpeg report to it.
    pub(crate) fn new() -> Arc<Self> {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            // SAFETY: a `va_list` parameter is a pointer in the C ABI of every platform this crate is built for; `on_message`
            // only passes it on.
            unsafe {
                ffi::av_log_set_callback(Some(mem::transmute::<MessageFn, _>(on_message)));
            }
        });
        Arc::default()
    }

    /// What a context's `opaque` is set to, so that its messages are counted here. The context must not outlive the log.
    pub(crate) fn opaque(self: &Arc<Self>) -> *mut c_void {
        Arc::as_ptr(self).cast_mut().cast()
    }

    /// Errors so far.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// The kinds, the most frequent first.
    pub(crate) fn kinds(&self) -> Vec<(String, u64)> {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kinds: Vec<_> = kinds.iter().map(|(kind, n)| (kind.clone(), *n)).collect();
        kinds.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        kinds
    }

    fn note(&self, format: &str) {
        self.total.fetch_add(1, Ordering::Relaxed);
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kind_of(format);
        if kinds.len() < MAX_KINDS || kinds.contains_key(&kind) {
            *kinds.entry(kind).or_default() += 1;
        }
    }
}

/// The constant beginning of a message's format string: what stands before its first argument.
fn kind_of(format: &str) -> String {
    let constant = format.split('%').next().unwrap_or_default();
    let constant: String = constant
        .chars()
        .filter(|&c| c == ' ' || c.is_ascii_graphic())
        .take(MAX_KIND_CHARS)
        .collect();
    let kind = constant
        .trim_end_matches(|c: char| !c.is_ascii_alphanumeric())
        .trim_start()
        .to_lowercase();
    if kind.is_empty() {
        "other".into()
    } else {
        kind
    }
}

type MessageFn = unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *mut c_void);

/// Called by FFmpeg, from any thread, for every message of any level.
unsafe extern "C" fn on_message(
    about: *mut c_void,
    level: c_int,
    format: *const c_char,
    arguments: *mut c_void,
) {
    // The upper bits are a colour.
    if level & 0xff <= ffi::AV_LOG_ERROR {
        // SAFETY: FFmpeg passes null or a struct that begins with a class pointer, and a terminated format string.
        unsafe {
            if let Some(log) = log_of(about) {
                log.note(&CStr::from_ptr(format).to_string_lossy());
            }
        }
    }
    // SAFETY: the arguments are passed on as they came. It prints what the level set by `set_log_warnings` lets through.
    unsafe {
        let print = ffi::av_log_default_callback as unsafe extern "C" fn(_, _, _, _);
        mem::transmute::<_, MessageFn>(print)(about, level, format, arguments);
    }
}

/// The log that the context a message is about was given.
///
/// # Safety
/// `about` is null or points to a struct that begins with a pointer to its class.
unsafe fn log_of<'a>(about: *mut c_void) -> Option<&'a ErrorLog> {
    if about.is_null() {
        return None;
    }
    // SAFETY: by contract. The class tells the struct's type. Only this crate sets `opaque` of these two structs, to an
    // `ErrorLog` that outlives them; FFmpeg's copies for its decoder threads keep it.
    unsafe {
        let class = *about.cast::<*const ffi::AVClass>();
        let opaque = if class == ffi::avcodec_get_class() {
            (*about.cast::<ffi::AVCodecContext>()).opaque
        } else if class == ffi::avformat_get_class() {
            (*about.cast::<ffi::AVFormatContext>()).opaque
        } else {
            return None;
        };
        opaque.cast::<ErrorLog>().as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_the_constant_part_of_a_message() {
        assert_eq!(
            kind_of("Invalid NAL unit size (%d > %d).\n"),
            "invalid nal unit size"
        );
        assert_eq!(kind_of("%s\n"), "other");
        assert_eq!(kind_of("\x1b[31mno frame!\n"), "[31mno frame");
    }

    #[test]
    fn kinds_are_bounded_and_the_most_frequent_comes_first() {
        let log = ErrorLog::default();
        for n in 0..100 {
            log.note(&format!("kind {n}"));
            log.note("often %d");
        }
        assert_eq!(log.total(), 200);
        assert_eq!(log.kinds().len(), MAX_KINDS);
        assert_eq!(log.kinds()[0], ("often".to_owned(), 100));
    }
}
