//! What an endpoint is: the traits every protocol family implements.
