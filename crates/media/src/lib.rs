//! Probe, decode, colour, encode and mux through the FFmpeg libraries.

pub mod rgb;

pub use rgb::PlanarRgb;
