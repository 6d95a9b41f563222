//! Metric families, access log, trace context: every name, unit and meaning in one place
