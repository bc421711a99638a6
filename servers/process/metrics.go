package process

import "k8s.io/component-base/metrics"

// Metrics hands to the process what a component's flags say of metrics, and returns what is left for the component to
// apply. If they do not say which labels are allowed, that is nothing: upstream logs an error where there is no file
// that does (k8s.io/component-base/metrics/options.go, Apply).
func Metrics(o *metrics.Options) *metrics.Options {
	if o == nil || o.AllowListMapping != nil || o.AllowListMappingManifest != "" {
		return o
	}
	if o.ShowHiddenMetricsForVersion != "" {
		metrics.SetShowHidden()
	}
	metrics.SetDisabledMetrics(o.DisabledMetrics)
	return nil
}
