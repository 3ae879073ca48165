//! Writing the output file: the new video beside copies of every other stream.
//!
//! Invariant: written is the open file that was given, also where its name is another file's by now.
//!
//! Copied are packets bit for bit, chapters, attachments, tags and dispositions; the streams keep their order.
#![expect(unsafe_code, reason = "owns an output AVFormatContext")]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::ptr;

use ffmpeg_sys_the_third as ffi;

use crate::Error;
use crate::av::{AvError, Dict, check, cstr, entries, file_url};
use crate::container::Container;
use crate::decode::Decoder;
use crate::encode::Encoder;
use crate::packet::Packet;
use crate::side_data;
use crate::subtitle;

/// Tags that describe the old file rather than its content; muxers write their own.
const NOT_COPIED: [&str; 5] = [
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "DURATION",
];

/// Most chapters, and most tags of the file, a stream or a chapter, that go over. Books read aloud have hundreds.
const MAX_CHAPTERS: usize = 4096;
const MAX_TAGS: usize = 1024;
/// Longest tag that goes over; a song's words have thousands of bytes.
const MAX_TAG_BYTES: usize = 256 << 10;
/// Most side data of a stream that goes over, such as a colour profile.
const MAX_SIDE_DATA_BYTES: usize = 16 << 20;

/// Bytes of copied packets after which all that FFmpeg holds back to interleave streams is written: a stream that runs
/// ahead of the video would be held as long as the encoder looks ahead.
const MAX_INTERLEAVED_BYTES: usize = 64 << 20;

/// An output file being written.
pub struct Muxer {
    context: *mut ffi::AVFormatContext,
    /// Kept open: FFmpeg opens it by its descriptor, a second time to move the index of an MP4 to its front.
    file: File,
    path: PathBuf,
    tracks: Vec<Track>,
    /// Position in `tracks` by input stream.
    by_input: BTreeMap<usize, usize>,
    video: usize,
    /// Durations of frames inside the encoder, by timestamp in the input's time base.
    durations: BTreeMap<i64, i64>,
    /// Bytes of copied packets since all that was held back was written.
    interleaved_bytes: usize,
    repairs: Repairs,
}

/// What a [`Muxer`] did to packets that did not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Packets whose decoding time did not increase and was moved behind the one before.
    pub moved_packets: u64,
    /// Subtitles that could not be read to be converted.
    pub lost_subtitles: u64,
    /// Subtitles of more than 16 KiB, which are not converted.
    pub long_subtitles: u64,
    /// Chapters beyond the 4096th, left out.
    pub lost_chapters: u64,
    /// Tags beyond the 1024th of their kind or of more than 256 KiB, and side data of more than 16 MiB, left out.
    pub lost_tags: u64,
}

struct Track {
    /// Time base of the packets that come in.
    time_base: ffi::AVRational,
    last_dts: Option<i64>,
    /// For text subtitles in a format that the container does not know.
    converter: Option<subtitle::Converter>,
    /// Added to timestamps, in the output's time base.
    shift: i64,
}

// SAFETY: the context is used by whoever owns this value, one thread at a time.
unsafe impl Send for Muxer {}

impl Muxer {
    /// Writes the headers into the empty `file`: the video from `encoder`, all other streams of `input` but `left_out`.
    /// Errors name the file `path`.
    ///
    /// # Errors
    /// [`Error::Create`] when the file cannot be opened again through `/proc`, [`Error::ContainerRefuses`] these streams.
    pub fn create(
        file: File,
        path: &Path,
        container: Container,
        input: &Decoder,
        left_out: &[usize],
        encoder: &Encoder,
    ) -> Result<Self, Error> {
        let mut context = ptr::null_mut();
        let url = url_of(&file);
        // SAFETY: the format is static, the string lives through the call.
        check(unsafe {
            ffi::avformat_alloc_output_context2(
                &raw mut context,
                container.0,
                ptr::null(),
                url.as_ptr(),
            )
        })
        .map_err(Error::av("creating the output"))?;
        let mut muxer = Self {
            context,
            file,
            path: path.to_path_buf(),
            tracks: Vec::new(),
            by_input: BTreeMap::new(),
            video: 0,
            durations: BTreeMap::new(),
            interleaved_bytes: 0,
            repairs: Repairs::default(),
        };
        // SAFETY: just allocated. Containers mark some combinations (FLAC in MP4) as experimental that all players know.
        // Sound often starts a few milliseconds before zero (encoder delay): FFmpeg would move all streams later for it.
        unsafe {
            (*context).strict_std_compliance = ffi::FF_COMPLIANCE_EXPERIMENTAL;
            if container.keeps_negative_timestamps() {
                (*context).avoid_negative_ts = ffi::AVFMT_AVOID_NEG_TS_DISABLED;
            }
        }
        for index in (0..input.clip().streams.len()).filter(|index| !left_out.contains(index)) {
            muxer.by_input.insert(index, muxer.tracks.len());
            if index == input.clip().video.index {
                muxer.video = muxer.tracks.len();
                muxer.add_video(input, encoder, container)?;
            } else {
                muxer.add_copy(input, index, container)?;
            }
        }
        muxer.copy_chapters(input);
        muxer.copy_file_tags(input);
        muxer.write_header(container)?;
        Ok(muxer)
    }

    fn raw(&self) -> &ffi::AVFormatContext {
        // SAFETY: valid until drop.
        unsafe { &*self.context }
    }

    fn stream(&self, track: usize) -> &ffi::AVStream {
        // SAFETY: tracks are made by `new_stream`, which adds a stream for each.
        unsafe { &**self.raw().streams.add(track) }
    }

    fn new_stream(&mut self, time_base: ffi::AVRational) -> &mut ffi::AVStream {
        // SAFETY: the context is valid; the stream belongs to it.
        let stream = unsafe { ffi::avformat_new_stream(self.context, ptr::null()).as_mut() }
            .expect("out of memory");
        self.tracks.push(Track {
            time_base,
            last_dts: None,
            converter: None,
            shift: 0,
        });
        stream.time_base = time_base;
        stream
    }

    fn add_video(
        &mut self,
        input: &Decoder,
        encoder: &Encoder,
        container: Container,
    ) -> Result<(), Error> {
        let source = input.demuxer().stream(input.clip().video.index);
        let stream = self.new_stream(encoder.raw().time_base);
        // SAFETY: both are valid; FFmpeg copies the encoder's parameters and extradata.
        check(unsafe { ffi::avcodec_parameters_from_context(stream.codecpar, encoder.raw()) })
            .map_err(Error::av("describing the video"))?;
        stream.sample_aspect_ratio = encoder.raw().sample_aspect_ratio;
        stream.disposition = source.disposition;
        if is_constant_rate(source) {
            stream.avg_frame_rate = source.avg_frame_rate;
        }
        if let Some(first) = input.first() {
            for entry in side_data::of_picture(source, first) {
                side_data::add_to_stream(stream, &entry);
            }
        }
        // Old players and FFmpeg-based tools read this tag; it is what is left where the container knows no rotation.
        if let Some(degrees) = input
            .clip()
            .video
            .rotation
            .filter(|_| !container.keeps_rotation())
        {
            let clockwise = (-degrees).rem_euclid(360).to_string();
            // SAFETY: the strings live through the call; FFmpeg copies them.
            unsafe {
                ffi::av_dict_set(
                    &raw mut stream.metadata,
                    c"rotate".as_ptr(),
                    cstr(&clockwise).as_ptr(),
                    0,
                );
            }
        }
        // Statistics of the old encode would be lies on the new one.
        let stale = |key: &str| {
            let key = key.to_uppercase();
            ["BPS", "NUMBER_OF_", "_STATISTICS_", "ENCODER", "SOURCE_ID"]
                .iter()
                .any(|tag| key.starts_with(tag))
        };
        // SAFETY: the source's dictionary is valid while `input` lives.
        let lost = unsafe { copy_tags(source.metadata, &mut stream.metadata, |key| !stale(key)) };
        self.repairs.lost_tags += lost;
        Ok(())
    }

    fn add_copy(
        &mut self,
        input: &Decoder,
        index: usize,
        container: Container,
    ) -> Result<(), Error> {
        let source = input.demuxer().stream(index);
        let information = &input.clip().streams[index];
        let converter = match subtitle::encoder_for(container, information) {
            Some(encoder) if !container.holds(information) => {
                Some(subtitle::Converter::open(source, encoder)?)
            }
            _ => None,
        };
        let stream = self.new_stream(source.time_base);
        match &converter {
            Some(converter) => converter.describe(stream)?,
            None => copy_parameters(source, stream)?,
        }
        stream.sample_aspect_ratio = source.sample_aspect_ratio;
        stream.avg_frame_rate = source.avg_frame_rate;
        stream.r_frame_rate = source.r_frame_rate;
        stream.disposition = source.disposition;
        let mut lost = 0;
        if cfg!(not(ffmpeg_6_1)) {
            for entry in side_data::of_stream(source) {
                if entry.1.len() > MAX_SIDE_DATA_BYTES {
                    lost += 1;
                } else {
                    side_data::add_to_stream(stream, &entry);
                }
            }
        }
        // SAFETY: the source's dictionary is valid while `input` lives.
        lost += unsafe { copy_tags(source.metadata, &mut stream.metadata, |_| true) };
        self.repairs.lost_tags += lost;
        let track = self.tracks.last_mut().expect("a track was just added");
        track.converter = converter;
        let parameters = input.demuxer().parameters(index);
        if parameters.codec_id == ffi::AVCodecID::OPUS && container.forgets_opus_delay() {
            // Matroska counts in milliseconds. Opus counts its delay in samples of 48 kHz whatever it was made from.
            track.shift = (i64::from(parameters.initial_padding) * 1000 + 24_000) / 48_000;
        }
        Ok(())
    }

    fn copy_chapters(&mut self, input: &Decoder) {
        let source = input.demuxer().raw();
        let n_chapters = source.nb_chapters as usize;
        self.repairs.lost_chapters = n_chapters.saturating_sub(MAX_CHAPTERS) as u64;
        for index in 0..n_chapters.min(MAX_CHAPTERS) {
            // SAFETY: `nb_chapters` valid chapters stand there. The copy is allocated by FFmpeg's allocator, and the
            // array grows by FFmpeg's own function, because avformat_free_context frees both.
            unsafe {
                let from = &**source.chapters.add(index);
                let chapter = ffi::av_mallocz(size_of::<ffi::AVChapter>()).cast::<ffi::AVChapter>();
                let context = &mut *self.context;
                let mut count = context.nb_chapters as i32;
                let array = (&raw mut context.chapters).cast();
                assert!(!chapter.is_null(), "out of memory");
                assert!(
                    ffi::av_dynarray_add_nofree(array, &raw mut count, chapter.cast()) >= 0,
                    "out of memory"
                );
                context.nb_chapters = count as u32;
                (*chapter).id = from.id;
                (*chapter).time_base = from.time_base;
                (*chapter).start = from.start;
                (*chapter).end = from.end;
                self.repairs.lost_tags +=
                    copy_tags(from.metadata, &mut (*chapter).metadata, |_| true);
            }
        }
    }

    fn copy_file_tags(&mut self, input: &Decoder) {
        // SAFETY: both contexts are valid.
        let lost = unsafe {
            copy_tags(
                input.demuxer().raw().metadata,
                &mut (*self.context).metadata,
                |_| true,
            )
        };
        self.repairs.lost_tags += lost;
    }

    fn write_header(&mut self, container: Container) -> Result<(), Error> {
        let create = |cause| Error::Create {
            cause,
            path: self.path.clone(),
        };
        // SAFETY: the context is valid, the string lives through the call.
        check(unsafe {
            ffi::avio_open2(
                &raw mut (*self.context).pb,
                url_of(&self.file).as_ptr(),
                ffi::AVIO_FLAG_WRITE,
                ptr::null(),
                ptr::null_mut(),
            )
        })
        .map_err(create)?;
        let mut options = Dict::new();
        if container.is_mov() {
            let own_keys = if self.has_unusual_tags() {
                "+use_metadata_tags"
            } else {
                ""
            };
            options.set("movflags", &format!("+faststart+write_colr{own_keys}"));
        }
        // SAFETY: the context has its streams and I/O.
        match check(unsafe { ffi::avformat_write_header(self.context, &raw mut options.0) }) {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.io_kind(), Some(kind) if kind != io::ErrorKind::InvalidInput) => {
                Err(self.write_error(error))
            }
            Err(cause) => Err(Error::ContainerRefuses {
                container: container.name(),
                cause,
            }),
        }
    }

    /// Tags that MP4 keeps only in its newer, key-value form.
    fn has_unusual_tags(&self) -> bool {
        const USUAL: [&str; 16] = [
            "title",
            "artist",
            "album_artist",
            "composer",
            "album",
            "date",
            "comment",
            "genre",
            "copyright",
            "grouping",
            "description",
            "synopsis",
            "show",
            "episode_id",
            "creation_time",
            "lyrics",
        ];
        // SAFETY: the dictionary belongs to the context.
        let tags = unsafe { entries(self.raw().metadata) };
        tags.iter()
            .any(|(key, _)| !USUAL.contains(&key.to_lowercase().as_str()))
    }

    /// Remembers how long the frame with timestamp `pts` is shown; its packet comes later.
    pub fn expect_frame(&mut self, pts: i64, duration: i64) {
        self.durations.insert(pts, duration);
    }

    /// Writes a packet of the encoder.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk is full or fails.
    pub fn write_video(&mut self, mut packet: Packet) -> Result<(), Error> {
        if let Some(duration) = self.durations.remove(&packet.raw().pts) {
            packet.raw_mut().duration = duration;
        }
        self.write(packet, self.video)
    }

    /// Writes a packet of the input: as it is, or its text in the form that the container knows.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk is full or fails.
    pub fn write_copy(&mut self, packet: Packet) -> Result<(), Error> {
        let Some(&track) = self.by_input.get(&packet.stream()) else {
            return Ok(());
        };
        let packet = match &mut self.tracks[track].converter {
            Some(converter) => converter.convert(&packet)?,
            None => Some(packet),
        };
        let Some(packet) = packet else {
            return Ok(());
        };
        self.interleaved_bytes += packet.size_bytes();
        self.write(packet, track)?;
        if self.interleaved_bytes > MAX_INTERLEAVED_BYTES {
            self.interleaved_bytes = 0;
            // SAFETY: the header is written; without a packet, all that is held back goes out.
            check(unsafe { ffi::av_interleaved_write_frame(self.context, ptr::null_mut()) })
                .map_err(|error| self.write_error(error))?;
        }
        Ok(())
    }

    fn write(&mut self, mut packet: Packet, track: usize) -> Result<(), Error> {
        let to = self.stream(track).time_base;
        let strict = self.raw_format_flags() & ffi::AVFMT_TS_NONSTRICT == 0;
        let Track {
            time_base,
            last_dts,
            shift,
            ..
        } = &mut self.tracks[track];
        let raw = packet.raw_mut();
        raw.stream_index = track as i32;
        raw.pos = -1;
        // SAFETY: the packet is valid and owned.
        unsafe { ffi::av_packet_rescale_ts(raw, *time_base, to) };
        for time in [&mut raw.pts, &mut raw.dts] {
            if *time != ffi::AV_NOPTS_VALUE {
                *time += *shift;
            }
        }
        // Muxers refuse a step back in decoding time; sources do have them.
        if let Some(last) = *last_dts
            && raw.dts != ffi::AV_NOPTS_VALUE
            && raw.dts < last + i64::from(strict)
        {
            raw.dts = last + i64::from(strict);
            raw.pts = raw.pts.max(raw.dts);
            self.repairs.moved_packets += 1;
        }
        if raw.dts != ffi::AV_NOPTS_VALUE {
            *last_dts = Some(raw.dts);
        }
        // SAFETY: the header is written; FFmpeg takes the packet's content and leaves an empty one.
        check(unsafe { ffi::av_interleaved_write_frame(self.context, packet.as_ptr()) })
            .map_err(|error| self.write_error(error))?;
        Ok(())
    }

    fn raw_format_flags(&self) -> i32 {
        // SAFETY: an output context has a static format.
        unsafe { (*self.raw().oformat).flags }
    }

    /// Completes and closes the file; says what had to be repaired on the way.
    ///
    /// # Errors
    /// [`Error::Write`] when the disk is full or fails; the file is then not complete.
    pub fn finish(mut self) -> Result<Repairs, Error> {
        // SAFETY: the header is written, and nothing is written after this.
        let trailer = check(unsafe { ffi::av_write_trailer(self.context) });
        let closed = self.close();
        trailer
            .and(closed)
            .map_err(|error| self.write_error(error))?;
        for converter in self.tracks.iter().filter_map(|it| it.converter.as_ref()) {
            self.repairs.lost_subtitles += converter.n_lost;
            self.repairs.long_subtitles += converter.n_long;
        }
        Ok(self.repairs)
    }

    /// Closes the file and says whether any write to it failed, early ones included: FFmpeg buffers.
    fn close(&mut self) -> Result<i32, AvError> {
        // SAFETY: the I/O context is null or open; closing nulls it.
        unsafe {
            let pb = &mut (*self.context).pb;
            let earlier = pb.as_ref().map_or(0, |pb| pb.error);
            let closed = ffi::avio_closep(pb);
            check(earlier).and(check(closed))
        }
    }

    fn write_error(&self, cause: AvError) -> Error {
        Error::Write {
            cause,
            path: self.path.clone(),
        }
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        // After `finish` this closes nothing; before it, the run failed already and this error adds nothing.
        let _ = self.close();
        // SAFETY: frees the context this value owns.
        unsafe { ffi::avformat_free_context(self.context) }
    }
}

/// FFmpeg's name of an open file.
fn url_of(file: &File) -> CString {
    file_url(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))
}

fn copy_parameters(source: &ffi::AVStream, stream: &mut ffi::AVStream) -> Result<(), Error> {
    // SAFETY: both are valid. The tag is the old container's name for the codec; zero lets the new one choose.
    check(unsafe {
        let copied = ffi::avcodec_parameters_copy(stream.codecpar, source.codecpar);
        (*stream.codecpar).codec_tag = 0;
        copied
    })
    .map_err(Error::av("describing a copied stream"))?;
    Ok(())
}

/// Whether every frame lasts the same, as far as FFmpeg could tell from the start of the file. Only then is the rate
/// written to the headers: players would compute timestamps from it.
fn is_constant_rate(stream: &ffi::AVStream) -> bool {
    let (average, base) = (stream.avg_frame_rate, stream.r_frame_rate);
    if average.num <= 0 || average.den <= 0 || base.num <= 0 || base.den <= 0 {
        return false;
    }
    let ratio =
        f64::from(average.num) / f64::from(average.den) * f64::from(base.den) / f64::from(base.num);
    (ratio - 1.0).abs() < 0.001
}

/// Gives the number of tags that are too long or too many.
///
/// # Safety
/// Both dictionaries are null or valid.
unsafe fn copy_tags(
    from: *const ffi::AVDictionary,
    to: &mut *mut ffi::AVDictionary,
    keep: impl Fn(&str) -> bool,
) -> u64 {
    let (mut n_copied, mut n_lost) = (0, 0);
    // SAFETY: promised by the caller.
    for (key, value) in unsafe { entries(from) } {
        if keep(&key) && !NOT_COPIED.contains(&key.as_str()) {
            if n_copied == MAX_TAGS || key.len() + value.len() > MAX_TAG_BYTES {
                n_lost += 1;
                continue;
            }
            n_copied += 1;
            // SAFETY: the strings live through the call; FFmpeg copies them.
            unsafe {
                ffi::av_dict_set(to, cstr(&key).as_ptr(), cstr(&value).as_ptr(), 0);
            }
        }
    }
    n_lost
}
