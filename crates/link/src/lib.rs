//! AVS over real wires: TLS, HTTP/2, Login with Amazon.
