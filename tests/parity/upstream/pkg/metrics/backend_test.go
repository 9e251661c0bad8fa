package metrics

import "flag"

var update = flag.Bool("update", false, "a flag of the tests is none of the program")
