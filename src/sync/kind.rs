//! Types of Secrets that are not for a class to ask for, since controllers of Kubernetes fill, change and delete
//! Secrets of them: these and the driver would write against each other.

/// True of the types that belong to controllers. Others that Kubernetes knows, of certificates or registries for
/// instance, are for whoever makes the Secret.
pub fn belongs_to_a_controller(kind: &str) -> bool {
    OF_CONTROLLERS.contains(&kind)
}

/// The token controller puts a token in and takes the Secret away with its service account; expired bootstrap tokens
/// are removed.
const OF_CONTROLLERS: [&str; 2] = ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_types_that_controllers_fill_belong_to_them() {
        for kind in ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"] {
            assert!(belongs_to_a_controller(kind), "{kind}");
        }
        for kind in ["Opaque", "kubernetes.io/tls", "kubernetes.io/basic-auth", "example.com/token", ""] {
            assert!(!belongs_to_a_controller(kind), "{kind}");
        }
    }
}
