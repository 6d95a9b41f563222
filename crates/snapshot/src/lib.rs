//! What an edge acts on: plain versioned serde sections, one per room
