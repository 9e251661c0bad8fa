module sigs.k8s.io/secrets-store-csi-driver

go 1.26

require (
	k8s.io/klog/v2 v2.140.0
	sigs.k8s.io/controller-runtime v0.24.1
)
