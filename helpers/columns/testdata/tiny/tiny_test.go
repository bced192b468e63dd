// Package tiny has rows that end in every way there is.
package tiny

import (
	"os"
	"testing"
)

func TestTiny(t *testing.T) {
	t.Run("TNY-1", func(t *testing.T) {})
	t.Run("TNY-2", func(t *testing.T) {
		if os.Getenv("TINY") != "well" {
			t.Error("two is 2,\nwant 3")
		}
	})
	t.Run("TNY-3", func(t *testing.T) { t.Skip("absent: no subject") })
	t.Run("TNY-4", func(t *testing.T) { t.Log("looked"); t.Skip("privilege: nobody") })
	t.Run("TNY-5", func(t *testing.T) {
		if os.Getenv("TINY") == "" {
			os.Exit(3)
		}
	})
	t.Run("TNY-6", func(t *testing.T) {})
	t.Run("TNY-7", func(t *testing.T) { t.Log("in part, limit: one of two") })
}
