//! Overwrites what was sent in the buffers of a connection that is kept.
//!
//! The HTTP library keeps one buffer for what it sends as long as a connection lives, and in it the head of the last
//! request: the bearer token. Idle connections would keep a token that has long been replaced, and a Secret that was
//! written. This wraps the library's connections and passes everything on.

use std::fmt;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use zeroize::Zeroize;

/// Wraps what the connectors before it have made.
#[derive(Debug)]
pub struct WipingConnector;

/// A connection whose buffers hold nothing that was sent.
pub struct Wiping<T>(T);

impl<T: Transport> Connector<T> for WipingConnector {
    type Out = Wiping<T>;

    fn connect(
        &self,
        _details: &ConnectionDetails<'_>,
        chained: Option<T>,
    ) -> Result<Option<Wiping<T>>, Error> {
        Ok(chained.map(Wiping))
    }
}

impl<T: Transport> Transport for Wiping<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let sent = self.0.transmit_output(amount, timeout);
        if let Some(sent) = self.0.buffers().output().get_mut(..amount) {
            sent.zeroize();
        }
        sent
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

impl<T: fmt::Debug> fmt::Debug for Wiping<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
