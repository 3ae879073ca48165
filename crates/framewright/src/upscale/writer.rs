//! The end of the pipeline: frames into the encoder, its packets and the copied ones into the file.

use framewright_media::{Encoder, Frame, Muxer, Packet, Repairs};
use framewright_pipeline::BoxError;

use crate::upscale::target::Lookout;

/// Where results go.
pub enum Writer {
    /// Encoded into a file.
    File {
        /// Gets the frames.
        encoder: Encoder,
        /// Gets the packets. Boxed: it is much larger than nothing.
        muxer: Box<Muxer>,
        /// Tells when the file has gone.
        lookout: Lookout,
    },
    /// Counted and dropped: `--encoder null`.
    Null,
}

impl Writer {
    /// Writes packets of the input as they are.
    pub fn copy(&mut self, packets: Vec<Packet>) -> Result<(), BoxError> {
        if let Self::File { muxer, .. } = self {
            for packet in packets {
                muxer.write_copy(packet)?;
            }
        }
        Ok(())
    }

    /// Encodes a frame with its own timestamp and duration.
    pub fn encode(&mut self, frame: &Frame) -> Result<(), BoxError> {
        if let Self::File {
            encoder,
            muxer,
            lookout,
        } = self
        {
            lookout.look_sometimes()?;
            let pts = frame
                .pts()
                .expect("the decoder gives every frame a timestamp");
            muxer.expect_frame(pts, frame.duration);
            encoder.send(Some(frame))?;
            pass_on(encoder, muxer)?;
        }
        Ok(())
    }

    /// Drains the encoder and completes the file. Only after everything before it finished well.
    pub fn finish(self) -> Result<Repairs, BoxError> {
        let Self::File {
            mut encoder,
            mut muxer,
            lookout,
        } = self
        else {
            return Ok(Repairs::default());
        };
        lookout.look()?;
        encoder.send(None)?;
        pass_on(&mut encoder, &mut muxer)?;
        Ok(muxer.finish()?)
    }
}

fn pass_on(encoder: &mut Encoder, muxer: &mut Muxer) -> Result<(), BoxError> {
    while let Some(packet) = encoder.receive()? {
        muxer.write_video(packet)?;
    }
    Ok(())
}
