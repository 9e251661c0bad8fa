//! HTTP requests of the test's own: to the API server over TLS, and to etcd, the provider and the driver in the clear.

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::http::Request;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// A client that trusts one authority, or none.
#[derive(Clone)]
pub struct Web(Agent);

/// A complete answer.
pub struct Answer {
    /// HTTP status code.
    pub code: u16,
    /// Body, which every server here answers as text.
    pub body: String,
}

impl Web {
    /// Trusts the authority of this certificate in PEM.
    pub fn trusting(authority_pem: &str) -> Web {
        let certificate = Certificate::from_pem(authority_pem.as_bytes()).expect("a certificate in PEM");
        Web::with_roots(&[certificate])
    }

    /// For servers that do not encrypt.
    pub fn plain() -> Web {
        Web::with_roots(&[])
    }

    fn with_roots(roots: &[Certificate<'static>]) -> Web {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            // Options of a deletion come in a body.
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .max_idle_connections(MOST_IDLE_CONNECTIONS)
            .max_idle_connections_per_host(MOST_IDLE_CONNECTIONS)
            .build();
        Web(Agent::new_with_config(config))
    }

    /// Sends a request, with a body where there is one; the error says why there is no answer.
    pub fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match body {
            Some(body) => self.0.run(request.body(body).map_err(|error| error.to_string())?),
            None => self.0.run(request.body(()).map_err(|error| error.to_string())?),
        };
        let mut answer = answer.map_err(|error| error.to_string())?;
        let code = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(LARGEST_ANSWER_BYTES).read_to_string();
        Ok(Answer { code, body: body.map_err(|error| error.to_string())? })
    }

    /// The body of a page that has to be there.
    pub fn page(&self, url: &str) -> String {
        let answer = self.send("GET", url, &[], None).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(answer.code, 200, "{url}: {}", answer.body);
        answer.body
    }
}

/// Nothing here takes a tenth of it, on a machine that is not out of breath.
const TIMEOUT: Duration = Duration::from_secs(30);
/// As many as there are pods whose kubelet asks at a time.
const MOST_IDLE_CONNECTIONS: usize = 32;
/// A list of a few hundred pods.
const LARGEST_ANSWER_BYTES: u64 = 64 << 20;
