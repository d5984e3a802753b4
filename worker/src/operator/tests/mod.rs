//! Operators against plain f64 loops that share no code with them.

mod combine;
mod graphs;
mod products;
mod results;
mod small_factorization;
mod walks;
