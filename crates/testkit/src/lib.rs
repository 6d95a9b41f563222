//! Development only: scripted origin, raw HTTP client, manual clock, free ports
