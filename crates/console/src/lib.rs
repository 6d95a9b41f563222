//! The ops listener: one page of live figures, metrics, health
