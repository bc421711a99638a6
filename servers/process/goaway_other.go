//go:build go1.27 && !http2legacy

package process

// hurryGoAway changes nothing: there is no variable to set. A stop takes a second longer.
func hurryGoAway() {}
