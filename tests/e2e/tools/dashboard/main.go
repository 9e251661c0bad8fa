// dashboard FILE: whether Grafana's own types take a dashboard, to the last field. Prints what they do not take.
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: dashboard FILE")
		os.Exit(64)
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err.Error())
	}
	// Without these the options of a panel would be anything.
	plugins.RegisterDefaultPlugins()
	var found dashboard.Dashboard
	// Where nothing is wrong these return an empty list of errors, which is not nil.
	for _, check := range []func() error{
		func() error { return found.UnmarshalJSONStrict(text) },
		func() error { return found.Validate() },
	} {
		if err := check(); err != nil && err.Error() != "" {
			fail(err.Error())
		}
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}
