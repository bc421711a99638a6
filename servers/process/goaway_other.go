//go:build go1.27 && !http2legacy

package process

// HurryGoAway changes nothing: there is no variable to set. A stop takes a second longer.
func HurryGoAway() {}
