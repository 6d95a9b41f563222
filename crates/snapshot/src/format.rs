//! The number that every section carries, and what is said when it is another's.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Why a section could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The section was written by another version of Plimsoll.
    #[error(
        "the `{section}` section has format {found}, and this build reads only format {expected}: \
         {}",
        if found > expected {
            "it was written by a newer plimsoll; run that version, or remove the file so that \
             it is made again"
        } else {
            "it was written by an older plimsoll; remove the file so that it is made again"
        }
    )]
    Format {
        /// Name of the section.
        section: &'static str,
        /// Format number found.
        found: u32,
        /// Format number that this build reads.
        expected: u32,
    },
    /// The bytes are not this section at all.
    #[error("the `{section}` section cannot be read: {source}")]
    Decode {
        /// Name of the section.
        section: &'static str,
        /// What the decoder met.
        #[source]
        source: serde_json::Error,
    },
}

/// Reads a section, its format number first.
pub(crate) fn read<S: DeserializeOwned>(
    section: &'static str,
    expected: u32,
    bytes: &[u8],
) -> Result<S, SnapshotError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let decode = |source| SnapshotError::Decode { section, source };
    let head: Head = serde_json::from_slice(bytes).map_err(decode)?;
    check_format(section, expected, head.format)?;
    serde_json::from_slice(bytes).map_err(decode)
}

pub(crate) const fn check_format(
    section: &'static str,
    expected: u32,
    found: u32,
) -> Result<(), SnapshotError> {
    if found == expected {
        return Ok(());
    }
    Err(SnapshotError::Format { section, found, expected })
}
