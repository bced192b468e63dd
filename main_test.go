package eventbench

import (
	"os"
	"testing"

	"eventbench/helpers/child"
	"eventbench/helpers/leak"
)

func TestMain(m *testing.M) {
	child.Main()
	os.Exit(leak.Check(m.Run))
}
