//! The seam to FFmpeg's C libraries: error codes, strings, dictionaries, log level.
//!
//! Everything that owns a C object lives in a type with a `Drop` ([`Frame`](crate::Frame), [`Packet`](crate::Packet),
//! the contexts in `demux`, `decode`, `encode` and `mux`), so that no pointer outlives its owner.
#![expect(unsafe_code, reason = "calls into FFmpeg")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::path::Path;
use std::ptr;

use ffmpeg_sys_the_third as ffi;

/// A time base or a rate, as FFmpeg's `AVRational`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rational {
    /// Numerator.
    pub num: i32,
    /// Denominator.
    pub den: i32,
}

impl Rational {
    /// The value as a float; `num / den`.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// `None` where FFmpeg says "unknown" by a zero.
    pub(crate) fn known(value: ffi::AVRational) -> Option<Self> {
        (value.num > 0 && value.den > 0).then_some(Self {
            num: value.num,
            den: value.den,
        })
    }
}

impl From<Rational> for ffi::AVRational {
    fn from(value: Rational) -> Self {
        Self {
            num: value.num,
            den: value.den,
        }
    }
}

impl std::fmt::Display for Rational {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

/// An error code of FFmpeg; prints as FFmpeg's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvError(pub(crate) c_int);

impl AvError {
    pub(crate) const EOF: Self = Self(ffi::AVERROR_EOF);
    /// The interrupt callback asked for an end.
    pub(crate) const EXIT: Self = Self(ffi::AVERROR_EXIT);

    /// The operating system's error behind the code, if there is one.
    pub fn io_kind(self) -> Option<io::ErrorKind> {
        // FFmpeg's own codes are four-character tags, far below any errno.
        (-4096..0)
            .contains(&self.0)
            .then(|| io::Error::from_raw_os_error(-self.0).kind())
    }

    /// "Send or receive the other way round first."
    pub(crate) fn is_again(self) -> bool {
        self.io_kind() == Some(io::ErrorKind::WouldBlock)
    }
}

impl std::fmt::Display for AvError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text: [c_char; 128] = [0; 128];
        // SAFETY: the buffer is writable for the length passed, and av_strerror ends it with a NUL.
        let text = unsafe {
            ffi::av_strerror(self.0, text.as_mut_ptr(), text.len());
            CStr::from_ptr(text.as_ptr())
        };
        f.write_str(&text.to_string_lossy().to_lowercase())
    }
}

impl std::error::Error for AvError {}

/// Turns a return code into a result: negative codes are errors.
pub(crate) fn check(code: c_int) -> Result<c_int, AvError> {
    if code < 0 {
        Err(AvError(code))
    } else {
        Ok(code)
    }
}

/// Sets what FFmpeg itself prints to stderr: nothing, or its warnings and errors.
pub fn set_log_warnings(on: bool) {
    let level = if on {
        ffi::AV_LOG_WARNING
    } else {
        ffi::AV_LOG_QUIET
    };
    // SAFETY: sets one integer of FFmpeg's; no pointer involved.
    unsafe { ffi::av_log_set_level(level) }
}

/// FFmpeg's version, for reports and `plan.json`.
pub fn ffmpeg_version() -> String {
    // SAFETY: returns a pointer to a static string.
    unsafe { text(ffi::av_version_info()) }.unwrap_or_default()
}

/// A path as FFmpeg's `file:` URL, so that a name such as `concat:a` or `-y` is never taken for something else.
pub(crate) fn file_url(path: &Path) -> CString {
    use std::os::unix::ffi::OsStrExt;
    let mut bytes = b"file:".to_vec();
    bytes.extend_from_slice(path.as_os_str().as_bytes());
    // A Unix path never holds a NUL; if one is made up, cutting it makes the open fail with "no such file".
    bytes.retain(|&byte| byte != 0);
    CString::new(bytes).expect("the NULs were just removed")
}

/// A C string for a name that comes from our own code.
pub(crate) fn cstr(name: &str) -> CString {
    CString::new(name.replace('\0', "")).expect("the NULs were just removed")
}

/// Copies a C string; `None` for a null pointer.
///
/// # Safety
/// `pointer` is null or points to a NUL-terminated string.
pub(crate) unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the caller promises a terminated string.
    Some(
        unsafe { CStr::from_ptr(pointer) }
            .to_string_lossy()
            .into_owned(),
    )
}

/// An owned `AVDictionary`: options or tags.
pub(crate) struct Dict(pub(crate) *mut ffi::AVDictionary);

impl Dict {
    pub(crate) fn new() -> Self {
        Self(ptr::null_mut())
    }

    pub(crate) fn set(&mut self, key: &str, value: &str) {
        // SAFETY: both strings live through the call; the dictionary copies them.
        unsafe {
            ffi::av_dict_set(&raw mut self.0, cstr(key).as_ptr(), cstr(value).as_ptr(), 0);
        }
    }

    /// The first key left over, after a call that takes out what it understood.
    pub(crate) fn first_key(&self) -> Option<String> {
        // SAFETY: the dictionary is valid for as long as `self`.
        unsafe { entries(self.0) }
            .into_iter()
            .next()
            .map(|(key, _)| key)
    }
}

impl Drop for Dict {
    fn drop(&mut self) {
        // SAFETY: frees what `set` allocated and nulls the pointer.
        unsafe { ffi::av_dict_free(&raw mut self.0) }
    }
}

/// All entries of a dictionary, in order.
///
/// # Safety
/// `dict` is null or a valid dictionary.
pub(crate) unsafe fn entries(dict: *const ffi::AVDictionary) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut entry: *const ffi::AVDictionaryEntry = ptr::null();
    loop {
        // SAFETY: `dict` is valid by contract, and `entry` came out of the same dictionary.
        entry = unsafe { ffi::av_dict_get(dict, c"".as_ptr(), entry, ffi::AV_DICT_IGNORE_SUFFIX) };
        if entry.is_null() {
            return found;
        }
        // SAFETY: a non-null entry holds two terminated strings.
        if let (Some(key), Some(value)) = unsafe { (text((*entry).key), text((*entry).value)) } {
            found.push((key, value));
        }
    }
}
