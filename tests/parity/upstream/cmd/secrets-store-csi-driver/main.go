// A stand-in for the program of a release, with a flag of each form: it is read, never compiled.
package main

import (
	"flag"
	"time"
)

var (
	socket = flag.String("endpoint", "unix://tmp/csi.sock", "where to listen, (even) with a \"comma, and a bracket")
	size   = flag.Int("max-size", 1024*1024*4, "bytes")
	every  = flag.Duration("interval", 2*time.Minute, "time between two calls")
	// gone = flag.Bool("gone", true, "a comment defines nothing")
	refresh bool
)

func main() {
	flag.BoolVar(&refresh, "refresh", false, `a "raw" text`)
	flag.Parse()
}
