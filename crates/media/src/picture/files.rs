//! Pictures as files: JPEG, PNG and WebP.

use std::io::{self, Cursor};
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder as _, ImageReader, Limits};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::Picture;

/// Longest side of a JPEG that its readers take; also of what is read here.
const MAX_SIDE: usize = 65_500;
/// Longest side of a WebP.
const MAX_WEBP_SIDE: usize = 16_383;
/// Memory that the reading of one picture may take, so that a small file cannot ask for all there is.
const MAX_READ_BYTES: u64 = 2 << 30;

/// A kind of picture file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureKind {
    /// JPEG, chroma of half the size below quality 95: most video has no more.
    Jpeg,
    /// PNG, lossless.
    Png,
    /// WebP, lossless.
    Webp,
}

/// Why a picture is not written or read.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The kind of file cannot hold it.
    #[error("a picture of {width}x{height} is too large for {kind:?}")]
    TooLarge {
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
        /// The kind of file.
        kind: PictureKind,
    },
    /// The encoder does not take it.
    #[error("the picture cannot be encoded: {0}")]
    Encode(String),
    /// The file cannot be read.
    #[error("cannot read the picture: {0}")]
    Read(#[from] io::Error),
    /// The file is not a picture, or a damaged or a too large one.
    #[error("not a picture that can be read: {0}")]
    Decode(String),
}

impl Picture {
    /// The file's bytes; the same picture gives the same bytes. `quality`, 1 to 100, is for JPEG.
    ///
    /// # Errors
    /// The kind of file does not hold pictures as large as this one.
    pub fn encode(&self, kind: PictureKind, quality: u8) -> Result<Vec<u8>, PictureError> {
        let longest = self.width.max(self.height);
        let max_side = match kind {
            PictureKind::Webp => MAX_WEBP_SIDE,
            PictureKind::Jpeg | PictureKind::Png => MAX_SIDE,
        };
        if longest > max_side {
            return Err(PictureError::TooLarge {
                width: self.width,
                height: self.height,
                kind,
            });
        }
        let (width, height) = (self.width as u32, self.height as u32);
        let mut file = Vec::with_capacity(self.data.len() / 4);
        let encode = |error: &dyn std::fmt::Display| PictureError::Encode(error.to_string());
        match kind {
            PictureKind::Jpeg => {
                let mut encoder = Encoder::new(&mut file, quality.clamp(1, 100));
                encoder.set_sampling_factor(if quality < 95 {
                    SamplingFactor::F_2_2
                } else {
                    SamplingFactor::F_1_1
                });
                encoder
                    .encode(&self.data, width as u16, height as u16, ColorType::Rgb)
                    .map_err(|error| encode(&error))?;
            }
            PictureKind::Png => {
                PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Paeth)
                    .write_image(&self.data, width, height, ExtendedColorType::Rgb8)
                    .map_err(|error| encode(&error))?;
            }
            PictureKind::Webp => WebPEncoder::new_lossless(&mut file)
                .write_image(&self.data, width, height, ExtendedColorType::Rgb8)
                .map_err(|error| encode(&error))?,
        }
        Ok(file)
    }

    /// Reads a file of any of the kinds; what it is is told by its content. Grey and transparent pictures become RGB.
    ///
    /// # Errors
    /// The file cannot be read, is no picture, or needs more than 2 GiB of memory.
    pub fn read(path: &Path) -> Result<Self, PictureError> {
        Self::decode(&std::fs::read(path)?)
    }

    /// As [`read`](Self::read), of the file's bytes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn decode(file: &[u8]) -> Result<Self, PictureError> {
        let decode = |error: image::ImageError| PictureError::Decode(error.to_string());
        let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
        let mut limits = Limits::default();
        (limits.max_image_width, limits.max_image_height) =
            (Some(MAX_SIDE as u32), Some(MAX_SIDE as u32));
        limits.max_alloc = Some(MAX_READ_BYTES);
        reader.limits(limits);
        let image = reader.decode().map_err(decode)?.into_rgb8();
        Ok(Self {
            width: image.width() as usize,
            height: image.height() as usize,
            data: image.into_raw(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize) -> Picture {
        let pixel = |n: usize| {
            [
                (n % width * 255 / width) as u8,
                (n / width * 255 / height) as u8,
                90,
            ]
        };
        Picture {
            width,
            height,
            data: (0..width * height).flat_map(pixel).collect(),
        }
    }

    #[test]
    fn lossless_files_give_the_picture_back() {
        for (width, height) in [(1, 1), (37, 51), (640, 360)] {
            let picture = picture(width, height);
            for kind in [PictureKind::Png, PictureKind::Webp] {
                let file = picture.encode(kind, 0).unwrap();
                assert_eq!(Picture::decode(&file).unwrap(), picture, "{kind:?}");
            }
        }
    }

    #[test]
    fn a_jpeg_is_near_the_picture_and_nearer_with_more_quality() {
        let picture = picture(133, 77);
        let difference = |quality| {
            let file = picture.encode(PictureKind::Jpeg, quality).unwrap();
            let read = Picture::decode(&file).unwrap();
            assert_eq!((read.width, read.height), (133, 77));
            let sum: u32 = read
                .data
                .iter()
                .zip(&picture.data)
                .map(|(a, b)| u32::from(a.abs_diff(*b)))
                .sum();
            f64::from(sum) / picture.data.len() as f64
        };
        let (low, high) = (difference(30), difference(95));
        assert!(high < low && high < 1.0 && low < 10.0, "{low} {high}");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert!(matches!(
            Picture::decode(b"no picture"),
            Err(PictureError::Decode(_))
        ));
        let mut file = picture(64, 64).encode(PictureKind::Png, 0).unwrap();
        file.truncate(file.len() / 2);
        assert!(matches!(
            Picture::decode(&file),
            Err(PictureError::Decode(_))
        ));
        assert!(matches!(
            Picture::read(Path::new("none")),
            Err(PictureError::Read(_))
        ));
        let wide = Picture {
            width: 70_000,
            height: 1,
            data: vec![0; 210_000],
        };
        assert!(matches!(
            wide.encode(PictureKind::Jpeg, 90),
            Err(PictureError::TooLarge { .. })
        ));
    }

    #[test]
    fn a_small_file_that_asks_for_all_memory_is_refused() {
        let mut file = picture(8, 8).encode(PictureKind::Png, 0).unwrap();
        // Width and height stand behind the signature and the chunk's head; the checksum follows the 13 bytes of it.
        file[16..24].copy_from_slice(&[0, 0, 255, 0, 0, 0, 255, 0]);
        assert!(Picture::decode(&file).is_err());
    }
}
