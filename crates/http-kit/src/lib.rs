//! Problem details, structured fields, client context, header and path hygiene
