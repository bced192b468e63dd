package gate

import _ "embed"

// testThresholds is a copy of thresholds.txt. Tests and goldens judge by it, so
// that a threshold can be changed without changing what they expect.
//
//go:embed testdata/thresholds.txt
var testThresholds string

// shippedThresholds is thresholds.txt itself.
var shippedThresholds = DefaultThresholds

func init() { DefaultThresholds = testThresholds }
