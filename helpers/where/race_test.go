//go:build linux && race

package where

const raced = true
