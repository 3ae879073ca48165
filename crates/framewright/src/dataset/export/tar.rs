//! Tar files that have the same bytes for the same content.
//!
//! Format: POSIX.1-1988 `ustar`. Owner, group and time are 0, the mode is 644.

use std::io::{self, Write};

const BLOCK: usize = 512;

/// Writes members one after the other.
pub(super) struct Tar<W: Write> {
    to: W,
}

impl<W: Write> Tar<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to }
    }

    /// Adds a plain file.
    ///
    /// # Errors
    /// The name is longer than 100 bytes, the file larger than 8 GiB, or it cannot be written.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.to.write_all(&header(name, content.len())?)?;
        self.to.write_all(content)?;
        let over = content.len() % BLOCK;
        let fill = if over == 0 { 0 } else { BLOCK - over };
        self.to.write_all(&[0; BLOCK][..fill])
    }

    /// Marks the end and gives the writer back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        self.to.flush()?;
        Ok(self.to)
    }
}

fn header(name: &str, size: usize) -> io::Result<[u8; BLOCK]> {
    let too_large = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    if name.len() > 100 {
        return Err(too_large("the name is too long for a tar file"));
    }
    if size >= 1 << 33 {
        return Err(too_large("the file is too large for a tar file"));
    }
    let mut header = [0; BLOCK];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    // The checksum is taken with blanks in its place.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_blocks_and_two_empty_ones_end_it() {
        let mut tar = Tar::new(Vec::new());
        tar.add("a.json", b"{}").unwrap();
        tar.add("a.jpg", &[7; 512]).unwrap();
        let bytes = tar.finish().unwrap();
        assert_eq!(bytes.len(), 6 * BLOCK);
        assert_eq!(&bytes[..7], b"a.json\0");
        assert_eq!(&bytes[124..136], b"00000000002\0");
        assert_eq!(&bytes[257..265], b"ustar\x0000");
        assert!(bytes[4 * BLOCK..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(header(&"n".repeat(101), 0).is_err());
        assert!(header("n", 1 << 33).is_err());
        assert!(header(&"n".repeat(100), (1 << 33) - 1).is_ok());
    }
}
