//! The encoders, behind one face: bytes in, and what came of them so far out.
//!
//! Levels and windows were chosen by bytes saved for each nanosecond of the edge's time; the
//! figures stand in `docs/compression.md`. They bound the memory of one answer, too.

use std::io::{self, Write};

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::write::GzEncoder;
use plimsoll_http_kit::coding::Coding;
use zstd::stream::write::Encoder as ZstdEncoder;
use zstd::zstd_safe::CParameter;

const GZIP_LEVEL: u32 = 4;
const ZSTD_LEVEL: i32 = 3;
/// 128 KiB, binary logarithm. Browsers take up to 8 MiB; more costs memory and saves little on what
/// an app asks for.
const ZSTD_WINDOW_LOG: u32 = 17;
const BROTLI_LEVEL: i32 = 5;
/// 128 KiB. At 64 KiB and less this level takes another way that is twenty times as slow.
const BROTLI_WINDOW_LOG: i32 = 17;
/// What brotli gives at once at most, bytes.
const BROTLI_BUFFER: usize = 4 * 1024;

/// What is expected to come of an answer at once, bytes.
const OUT_EXPECTED: usize = 8 * 1024;

/// An answer being compressed.
pub(super) enum Encoder {
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(Box<ZstdEncoder<'static, Vec<u8>>>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl Encoder {
    /// What one may take of memory, bytes; measured, and rounded up.
    pub(super) const fn bytes_max(coding: Coding) -> usize {
        match coding {
            Coding::Brotli => 3 << 20,
            Coding::Zstd => 7 << 18,
            Coding::Gzip => 1 << 19,
        }
    }

    /// `length` is the whole answer's, where it is known.
    pub(super) fn new(coding: Coding, length: Option<u64>) -> io::Result<Self> {
        let out = Vec::with_capacity(OUT_EXPECTED);
        Ok(match coding {
            Coding::Brotli => {
                let params = BrotliEncoderParams {
                    quality: BROTLI_LEVEL,
                    lgwin: BROTLI_WINDOW_LOG,
                    ..BrotliEncoderParams::default()
                };
                let writer = CompressorWriter::with_params(out, BROTLI_BUFFER, &params);
                Self::Brotli(Box::new(writer))
            }
            Coding::Zstd => {
                let mut encoder = ZstdEncoder::new(out, ZSTD_LEVEL)?;
                encoder.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG))?;
                encoder.set_pledged_src_size(length)?;
                Self::Zstd(Box::new(encoder))
            }
            Coding::Gzip => {
                Self::Gzip(Box::new(GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL))))
            }
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Brotli(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes),
        }
    }

    /// Brings everything that was written to where [`Self::take`] finds it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Brotli(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }

    fn out(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        }
    }

    /// Takes what has come of it so far, if it is `least` bytes.
    pub(super) fn take(&mut self, least: usize) -> Vec<u8> {
        let out = self.out();
        if out.len() < least { Vec::new() } else { std::mem::take(out) }
    }

    /// The rest, with the end.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}
