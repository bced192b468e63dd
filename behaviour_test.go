//go:build linux

package eventbench

import (
	"embed"
	"io/fs"

	"eventbench/helpers/behaviour"
)

// The inventories go with the binary: in a guest there is no testdata.
//
//go:embed testdata/behaviours
var inventories embed.FS

func init() {
	sub, err := fs.Sub(inventories, "testdata/behaviours")
	if err != nil {
		panic(err)
	}
	behaviour.Inventory = sub
}
