//! Probe, decode, colour, encode and mux through the FFmpeg libraries, in-process.
//!
//! ```text
//! Decoder::open ─▶ Clip (what the file holds)
//! Decoder::next_unit ─▶ Unit { packets, frame } ─▶ Normaliser ─▶ rgb_from_frame ─▶ PlanarRgb
//!                     │                                                          │ network
//!                     │             Frame ◀─ FrameMaker ◀─ PlanarRgb ◀───────┘
//!                     └▶ Muxer ◀─ Encoder ◀─┘
//! ```
//! Nothing here knows of pipelines or networks. Timestamps pass through unchanged, in the time base of the input stream.

pub mod colour;

mod av;
mod clip;
mod container;
mod convert;
mod decode;
mod demux;
mod encode;
mod envelope;
mod error;
mod error_log;
mod frame;
mod frame_maker;
mod frame_pool;
mod health;
mod limits;
mod luma;
mod mux;
mod orientation;
mod packet;
mod picture;
mod pixel_format;
mod region;
mod rgb;
mod sample;
mod shift;
mod side_data;
mod subtitle;
mod tags;

#[cfg(test)]
mod noise;
#[cfg(test)]
mod part_tests;

pub use av::{AvError, Rational, ffmpeg_version, set_log_warnings};
pub use clip::{Clip, FrameCount, Stream, StreamKind, Video};
pub use colour::CHROMA_REACH;
pub use container::Container;
pub use convert::{Normaliser, check_colour, rgb_from_frame, rgb_from_part};
pub use decode::{Decoder, Unit};
pub use demux::Interrupt;
pub use encode::{EncodeSettings, Encoder, codec_of_encoder, pixel_formats};
pub use error::Error;
pub use frame::Frame;
pub use frame_maker::FrameMaker;
pub use frame_pool::FramePool;
pub use health::Health;
pub use limits::MAX_FRAME_PIXELS;
pub use luma::Luma8;
pub use mux::{Muxer, Repairs};
pub use orientation::Orientation;
pub use packet::Packet;
pub use picture::{Picture, PictureError, PictureKind};
pub use pixel_format::PixelFormat;
pub use region::Region;
pub use rgb::PlanarRgb;
pub use sample::{Next, Sample, SampleOptions, Sampler, Sampling, Verified, verify};
pub use shift::Shift;
pub use tags::ColourTags;
