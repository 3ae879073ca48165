//! Opening a file and reading its packets, with what the container says about its streams.
//!
//! Only files are read (`protocol_whitelist`), and only by demuxers that do not open other files: an HLS playlist or an
//! ffconcat script named `.mp4` would otherwise read whatever it names (`format_whitelist`).
#![expect(unsafe_code, reason = "owns an input AVFormatContext")]

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ffmpeg_sys_the_third as ffi;

use crate::Error;
use crate::av::{self, AvError, Dict, check};
use crate::error_log::ErrorLog;
use crate::limits;
use crate::packet::Packet;

/// Demuxers of single, self-contained files. One name of an alias list is enough: `mov` admits MP4 and M4A.
const FORMATS: &str = "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,gif,apng,ivf,mxf,nut,wtv,rm,yuv4mpegpipe,dv,\
                       h264,hevc,m4v,av1,obu,vc1,swf,3dostr,amv,bink,smk,roq,nsv,pmp,dxa,gxf,lxf,wav,mp3,flac,aac,ac3";

/// Makes reads of a clip fail at once when set; for stopping a run whose reader waits on a slow disk.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Ends every read that is going on or comes later.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

extern "C" fn interrupted(flag: *mut c_void) -> c_int {
    // SAFETY: `flag` points into the Arc that the Demuxer owning the context keeps alive.
    c_int::from(unsafe { &*flag.cast::<AtomicBool>() }.load(Ordering::Relaxed))
}

/// An open input file.
pub(crate) struct Demuxer {
    context: *mut ffi::AVFormatContext,
    pub(crate) path: PathBuf,
    /// Kept alive for the context's callback.
    interrupt: Interrupt,
    /// Width and height of each stream by the container's header, before anything of it was decoded.
    announced: Vec<(i32, i32)>,
    /// Kept alive for the context's messages.
    log: Arc<ErrorLog>,
    read_errors: u64,
    gave_up: bool,
}

/// C's `SEEK_CUR`: from where it is.
const SEEK_CUR: c_int = 1;
/// Errors of a demuxer without a packet between them after which the file is taken to end. Each is a place it tries to get
/// over; damage of a whole gigabyte in small pieces has fewer.
const MAX_ERRORS_IN_A_ROW: u32 = 1000;

// SAFETY: the context is used by whoever owns this value, one thread at a time.
unsafe impl Send for Demuxer {}
// SAFETY: `&Demuxer` only reads fields of streams, which change under `&mut` alone.
unsafe impl Sync for Demuxer {}

impl Demuxer {
    /// Opens `path` and looks into its streams.
    pub(crate) fn open(path: &Path, interrupt: &Interrupt) -> Result<Self, Error> {
        limits::bound_allocations();
        readable(path)?;
        // SAFETY: plain allocation; handed to avformat_open_input below, which frees it on failure.
        let mut context = unsafe { ffi::avformat_alloc_context() };
        assert!(!context.is_null(), "out of memory");
        let flag = Arc::as_ptr(&interrupt.0).cast_mut().cast::<c_void>();
        let log = ErrorLog::new();
        // SAFETY: the context was just allocated; both Arcs are kept in `Self` for as long as the context lives.
        unsafe {
            (*context).opaque = log.opaque();
            (*context).interrupt_callback = ffi::AVIOInterruptCB {
                callback: Some(interrupted),
                opaque: flag,
            }
        };
        let mut options = Dict::new();
        options.set("protocol_whitelist", "file");
        options.set("format_whitelist", FORMATS);
        let url = av::file_url(path);
        // SAFETY: all pointers live through the call; on failure the context is freed and nulled by FFmpeg.
        let opened = check(unsafe {
            ffi::avformat_open_input(
                &raw mut context,
                url.as_ptr(),
                ptr::null_mut(),
                &raw mut options.0,
            )
        });
        let bad = |reason: String| Error::BadInput {
            reason,
            path: path.to_path_buf(),
        };
        match opened {
            Ok(_) => {}
            Err(AvError::EXIT) => return Err(Error::Interrupted),
            // EINVAL: the content is of a format that is not on the list (or of none).
            Err(error) if error.io_kind() == Some(io::ErrorKind::InvalidInput) => {
                return Err(bad(
                    "not a video file of a known kind (playlists are not followed)".into(),
                ));
            }
            Err(error) => {
                return Err(bad(format!(
                    "not a video file, or one that is cut off or damaged ({error})"
                )));
            }
        }
        let mut demuxer = Self {
            context,
            path: path.to_path_buf(),
            interrupt: interrupt.clone(),
            announced: Vec::new(),
            log,
            read_errors: 0,
            gave_up: false,
        };
        let sizes = (0..demuxer.streams().len()).map(|index| demuxer.size(index));
        demuxer.announced = sizes.collect();
        demuxer
            .find_stream_info()
            .map_err(|error| bad(format!("no usable streams ({error})")))?;
        Ok(demuxer)
    }

    /// Has FFmpeg find out what the header leaves open, by decoding some frames of a bounded size.
    fn find_stream_info(&mut self) -> Result<(), AvError> {
        let mut options = limits::of_probing(self.streams().len());
        let mut dictionaries: Vec<_> = options.iter().map(|options| options.0).collect();
        // SAFETY: the context is open, and there is a dictionary for each of its streams.
        let found = check(unsafe {
            ffi::avformat_find_stream_info(self.context, dictionaries.as_mut_ptr())
        });
        // FFmpeg takes out what it understood, and moves the dictionaries by that.
        for (options, dictionary) in options.iter_mut().zip(dictionaries) {
            options.0 = dictionary;
        }
        found.map(drop)
    }

    /// Width and height of a stream, as far as they are known.
    fn size(&self, index: usize) -> (i32, i32) {
        let parameters = self.parameters(index);
        (parameters.width, parameters.height)
    }

    pub(crate) fn raw(&self) -> &ffi::AVFormatContext {
        // SAFETY: valid until drop.
        unsafe { &*self.context }
    }

    /// The streams in file order.
    pub(crate) fn streams(&self) -> &[*mut ffi::AVStream] {
        let raw = self.raw();
        if raw.nb_streams == 0 {
            return &[];
        }
        // SAFETY: FFmpeg keeps `nb_streams` valid pointers there.
        unsafe { slice::from_raw_parts(raw.streams, raw.nb_streams as usize) }
    }

    pub(crate) fn stream(&self, index: usize) -> &ffi::AVStream {
        // SAFETY: every entry is a valid stream for as long as the context lives.
        unsafe { &*self.streams()[index] }
    }

    pub(crate) fn parameters(&self, index: usize) -> &ffi::AVCodecParameters {
        // SAFETY: every stream has codec parameters.
        unsafe { &*self.stream(index).codecpar }
    }

    /// The video stream a player would show, and its decoder. One of frames larger than any video's is refused here,
    /// before any of them is decoded.
    pub(crate) fn best_video(&self) -> Result<(usize, *const ffi::AVCodec), Error> {
        let mut decoder = ptr::null();
        // SAFETY: the context is open; `decoder` receives a static pointer.
        let found = unsafe {
            ffi::av_find_best_stream(
                self.context,
                ffi::AVMediaType::VIDEO,
                -1,
                -1,
                &raw mut decoder,
                0,
            )
        };
        let bad = |reason: &str| Error::BadInput {
            reason: reason.into(),
            path: self.path.clone(),
        };
        match check(found) {
            // A cover picture in an audio file is not a video.
            Ok(index)
                if self.stream(index as usize).disposition & ffi::AV_DISPOSITION_ATTACHED_PIC
                    != 0 =>
            {
                Err(bad("the file has no video stream, only a cover picture"))
            }
            Ok(index) => {
                // A frame larger than those that are decoded to learn about the stream leaves its size open again.
                let announced = self.announced.get(index as usize).copied();
                let (width, height) = match self.size(index as usize) {
                    (0, _) | (_, 0) => announced.unwrap_or_default(),
                    found => found,
                };
                match limits::refusal(width, height) {
                    Some(reason) => Err(bad(&reason)),
                    None => Ok((index as usize, decoder)),
                }
            }
            Err(AvError(ffi::AVERROR_DECODER_NOT_FOUND)) => {
                Err(bad("this FFmpeg has no decoder for the video"))
            }
            Err(_) => Err(bad("the file has no video stream")),
        }
    }

    /// Leaves out the packets of a stream from now on.
    pub(crate) fn discard(&mut self, index: usize) {
        // SAFETY: a valid stream; the field is there for callers to set.
        unsafe { (*self.streams()[index]).discard = ffi::AVDiscard::ALL }
    }

    /// Goes to the key frame of a stream at or before `timestamp`, in that stream's time base. False where the format or
    /// the file behind it offers no way there.
    pub(crate) fn seek(&mut self, stream: usize, timestamp: i64) -> bool {
        // SAFETY: an open input has a format, a static object.
        let flags = unsafe { (*self.raw().iformat).flags };
        // Without timestamps nothing tells where a search has ended.
        if flags & ffi::AVFMT_NOTIMESTAMPS != 0 {
            return false;
        }
        let backward = ffi::AVSEEK_FLAG_BACKWARD;
        // SAFETY: the context is open, the stream one of its own.
        let moved =
            unsafe { ffi::av_seek_frame(self.context, stream as c_int, timestamp, backward) };
        check(moved).is_ok()
    }

    /// The next packet of any stream; `None` at the end of the file. What makes no sense is counted and read over.
    ///
    /// # Errors
    /// [`Error::Read`] only when the file itself cannot be read: demuxers use the system's error codes for bad data as well.
    pub(crate) fn read(&mut self) -> Result<Option<Packet>, Error> {
        let packet = Packet::new();
        for _ in 0..MAX_ERRORS_IN_A_ROW {
            let position = self.position();
            // SAFETY: the context is open, the packet empty and owned; FFmpeg leaves it empty on an error.
            let read = check(unsafe { ffi::av_read_frame(self.context, packet.as_ptr()) });
            match (read, self.file_error()) {
                (Ok(_), _) => return Ok(Some(packet)),
                (Err(AvError::EXIT), _) | (_, Some(AvError::EXIT)) => {
                    return Err(Error::Interrupted);
                }
                (Err(_), Some(cause)) => {
                    return Err(Error::Read {
                        cause,
                        path: self.path.clone(),
                    });
                }
                (Err(AvError::EOF), None) => return Ok(None),
                // Behind its last byte some demuxers return errors instead of an end; others go back and read on.
                (Err(_), None) if self.is_at_end() && self.position() == position => {}
                (Err(_), None) => self.read_errors += 1,
            }
        }
        self.gave_up = !self.is_at_end();
        Ok(None)
    }

    /// Where in the file the demuxer reads; 0 where there is no file behind it.
    fn position(&self) -> i64 {
        let io = self.raw().pb;
        if io.is_null() {
            return 0;
        }
        // SAFETY: a non-null I/O context is valid; a seek by nothing from where it is only asks.
        unsafe { ffi::avio_seek(io, 0, SEEK_CUR) }
    }

    fn is_at_end(&self) -> bool {
        // SAFETY: the I/O context is null or valid.
        unsafe { self.raw().pb.as_ref() }.is_some_and(|io| io.eof_reached != 0)
    }

    /// The error with which the file, not what is in it, could not be read.
    fn file_error(&self) -> Option<AvError> {
        // SAFETY: the I/O context is null (no file behind the format) or valid.
        let io = unsafe { self.raw().pb.as_ref() };
        io.map(|io| AvError(io.error))
            .filter(|error| error.0 < 0 && *error != AvError::EOF)
    }

    /// Places that were read over because they made no sense.
    pub(crate) fn read_errors(&self) -> u64 {
        self.read_errors
    }

    /// Whether the end was never reached: nothing but errors came.
    pub(crate) fn gave_up(&self) -> bool {
        self.gave_up
    }

    /// The errors FFmpeg logs about this file, for its decoder to report to as well.
    pub(crate) fn log(&self) -> &Arc<ErrorLog> {
        &self.log
    }

    /// Timestamp of the earliest packet, in seconds, as far as it is known.
    pub(crate) fn start_secs(&self) -> f64 {
        match self.raw().start_time {
            ffi::AV_NOPTS_VALUE => 0.0,
            start => start as f64 / f64::from(ffi::AV_TIME_BASE),
        }
    }

    /// Packets of a stream by an index of all of them, in the formats that have one. Other formats index key frames, or what
    /// was read by now.
    pub(crate) fn indexed_packets(&self, index: usize) -> Option<u64> {
        // SAFETY: an open input has a format with a name; the stream is one of its own.
        let (format, n) = unsafe {
            (
                av::text((*self.raw().iformat).name).unwrap_or_default(),
                ffi::avformat_index_get_entries_count(self.stream(index)),
            )
        };
        (format.starts_with("mov") || format == "avi").then_some(u64::try_from(n).unwrap_or(0))
    }
}

impl Drop for Demuxer {
    fn drop(&mut self) {
        // SAFETY: closes and frees the context this value owns; `interrupt` and `log` are dropped after it.
        unsafe { ffi::avformat_close_input(&raw mut self.context) }
        let _ = (&self.interrupt, &self.log);
    }
}

/// Says in the operating system's words why a path cannot be read, before FFmpeg turns it into "invalid data".
fn readable(path: &Path) -> Result<(), Error> {
    let open_error = |cause| Error::Open {
        cause,
        path: path.to_path_buf(),
    };
    let metadata = path.metadata().map_err(open_error)?;
    if metadata.is_dir() {
        return Err(open_error(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a folder, not a video file",
        )));
    }
    // Opening a pipe would wait for a writer that may never come.
    if !metadata.is_file() {
        return Err(Error::BadInput {
            reason: "a pipe or a device and no file; save the video to a file first".into(),
            path: path.to_path_buf(),
        });
    }
    File::open(path).map_err(open_error)?;
    if metadata.len() == 0 {
        return Err(Error::BadInput {
            reason: "the file is empty".into(),
            path: path.to_path_buf(),
        });
    }
    Ok(())
}
