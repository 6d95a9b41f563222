//! The manifest: configuration types, validation with file, line and key, JSON Schema
