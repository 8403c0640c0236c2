//! Both ends of the transport over the simulated wire, with scripted replicas behind them.

mod calls;
mod replica;
mod streams;
