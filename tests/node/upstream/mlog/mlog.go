// Package mlog stands in the place of the logging library of the upstream driver, which not every mirror of modules has:
// what upstream calls of it, with the standard library's log behind it.
package mlog

import (
	"context"
	"log"
)

// Level is how much is logged. The stand-in logs errors alone.
type Level string

// Format is how it is written.
type Format string

// The formats that there are.
const (
	FormatText Format = "text"
	FormatJSON Format = "json"
)

// ValidateAndSetKlogLevelAndFormatGlobally would set both.
func ValidateAndSetKlogLevelAndFormatGlobally[L any](context.Context, L, Format) error { return nil }

// Setup begins logging, and answers what ends it.
func Setup() func() { return func() {} }

// Error logs what went wrong.
func Error(message string, err error, _ ...any) { log.Printf("%s: %v", message, err) }

// Fatal logs what went wrong, and ends the program.
func Fatal(err error) { log.Fatal(err) }
