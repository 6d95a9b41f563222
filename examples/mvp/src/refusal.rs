//! What the store says no to. The API turns each into a status and a code.

/// Why the store refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing, or it is somebody else's.
    #[error("there is no such thing, or it is not yours")]
    NotFound,
    /// The handle is taken.
    #[error("this handle is taken")]
    HandleTaken,
    /// The caller has a token and no profile.
    #[error("sign up first: POST /v1/people")]
    NotSignedUp,
    /// The order was paid before.
    #[error("this order is paid")]
    AlreadyPaid,
    /// The payment provider said no.
    #[error("the payment was declined")]
    Declined,
    /// The order names something that is not in the catalogue.
    #[error("one of these products is not in the catalogue")]
    UnknownProduct,
    /// A table is full.
    #[error("this demonstration holds no more people")]
    Full,
}
