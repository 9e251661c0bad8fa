package metrics

import "flag"

var backend = flag.String("metrics-backend", "Prometheus", "format of the metrics")
