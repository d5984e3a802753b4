//! Operators against plain f64 loops that share no code with them.

mod combine;
mod products;
mod results;
mod small_factorization;
