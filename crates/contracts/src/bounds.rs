//! The bounds on a contract. A contract is the team's own file, but a generator that ran wild or a
//! file that somebody else sent must not take the edge's memory with it.

/// Largest contract file in bytes: 16 MiB. The largest public ones have about 12.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// Deepest nesting of objects and lists in a contract.
pub const DEPTH_MAX: usize = 100;

/// Most values in a contract, those that YAML aliases repeat included.
pub const NODES_MAX: usize = 2_000_000;

/// Most bytes of text in a contract after YAML aliases are expanded: 64 MiB.
pub const TEXT_BYTES_MAX: usize = 64 << 20;

/// Most operations in one contract.
pub const OPERATIONS_MAX: usize = 10_000;

/// Most references in a row that lead from one to the next.
pub const REFERENCE_CHAIN_MAX: usize = 32;

/// Longest `pattern` in bytes.
pub const PATTERN_BYTES_MAX: usize = 4_096;

/// Most distinct `pattern`s in one contract.
pub const PATTERNS_MAX: usize = 2_000;

/// Largest compiled `pattern` in bytes: 256 KiB.
pub const PATTERN_PROGRAM_BYTES_MAX: usize = 256 << 10;

/// Longest `operationId` in bytes.
pub const OPERATION_ID_BYTES_MAX: usize = 256;

/// Most cache groups of one operation.
pub const GROUPS_MAX: usize = 32;

/// Longest name of a cache group in bytes.
pub const GROUP_BYTES_MAX: usize = 128;

/// Most faults reported for one contract; the rest is only counted.
pub const FAULTS_MAX: usize = 50;
