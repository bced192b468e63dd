// Package tiny stands in for the suite where the suite must misbehave, as the
// environment variable TINY says.
package tiny

import (
	"os"
	"testing"
	"time"
)

func BenchmarkNullGetppid(b *testing.B) {
	switch os.Getenv("TINY") {
	case "skip":
		b.Skip("getppid: function not implemented")
	case "fail":
		b.Fatal("the account does not balance: 7 of 8")
	case "hang":
		time.Sleep(time.Hour)
	case "later": // when it is no longer the trial with one iteration
		if b.N > 1 {
			b.Fatal("failed after the trial")
		}
	}
	for range b.N {
		os.Getppid()
	}
}
