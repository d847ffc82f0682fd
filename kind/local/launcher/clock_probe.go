package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

// tick is one line of the probe's output. Everything is in this runtime's own
// (dilated) time, so 20 ms of lateness at speed 20 are 1 ms of wall time.
type tick struct {
	// UnixMillis is this runtime's wall clock.
	UnixMillis int64 `json:"unix_millis"`
	// LateMillis is how long after its due time the tick was handled.
	LateMillis float64 `json:"late_millis"`
}

// clockProbe prints one tick a line until standard input closes. A process
// under the same runtime as the control plane is late when the control plane
// is: this is how a run knows that the machine could not hold its speed.
func clockProbe(args []string) int {
	flags := flag.NewFlagSet("clock-probe", flag.ContinueOnError)
	period := flags.Duration("period", time.Second, "time between ticks, on this runtime's clock")
	count := flags.Int("count", 0, "end after this many ticks (0: when standard input closes)")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *period <= 0 {
		fmt.Fprintln(os.Stderr, "clock-probe: --period must be positive")
		return 2
	}
	closed := make(chan struct{})
	if *count == 0 {
		go func() {
			defer close(closed)
			for in := bufio.NewReader(os.Stdin); ; {
				if _, err := in.ReadByte(); err != nil {
					return
				}
			}
		}()
	}
	out := json.NewEncoder(os.Stdout)
	due := time.Now().Add(*period)
	for n := 0; *count == 0 || n < *count; n++ {
		timer := time.NewTimer(time.Until(due))
		select {
		case <-closed:
			return 0
		case <-timer.C:
		}
		now := time.Now()
		late := float64(now.Sub(due).Microseconds()) / 1000
		if err := out.Encode(tick{UnixMillis: now.UnixMilli(), LateMillis: late}); err != nil {
			return 0 // the reader is gone
		}
		for due = due.Add(*period); due.Before(now); due = due.Add(*period) {
		}
	}
	return 0
}
