// Package report makes two series; it is read, never compiled.
package report

var (
	storeKey = "provider"
	osKey    = "os_type"
)

func New() (err error) {
	if r.mounts, err = meter.Int64Counter("node_publish", metric.WithDescription("mounts")); err != nil {
		return err
	}
	if r.taken, err = meter.Float64Histogram("k8s_secret_duration_sec", metric.WithDescription("seconds")); err != nil {
		return err
	}
	return nil
}

func (r *reporter) Mounted(ctx context.Context, provider string) {
	opt := metric.WithAttributes(
		attribute.Key(storeKey).String(provider),
		attribute.Key(osKey).String(runtime.GOOS),
	)
	r.mounts.Add(ctx, 1, opt)
}

func (r *reporter) Took(ctx context.Context, seconds float64) {
	r.taken.Record(ctx, seconds, metric.WithAttributes(attribute.String(osKey, runtime.GOOS)))
}
