//! Every call we make to an address that config or a person gave
