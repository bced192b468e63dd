//go:build !linux

package main

import (
	"context"
	"os"
	"os/signal"

	"eventbench/helpers/cli"
)

func start() {}

func stopContext(more ...os.Signal) context.Context {
	ctx, _ := signal.NotifyContext(context.Background(), append(more, os.Interrupt)...)
	return ctx
}

// verbs are those that need no Linux: results can be judged anywhere.
func verbs() []*cli.Verb { return []*cli.Verb{gateVerb()} }
