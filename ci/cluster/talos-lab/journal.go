package main

import (
	"encoding/json"
	"io"
	"os"
	"sync"
	"time"
)

var (
	journalMu sync.Mutex
	journal   io.Writer = os.Stdout
)

// record writes one JSON line: what happened to which machine, and who called what.
func record(event string, kv ...string) {
	line := map[string]string{"t": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "event": event}
	for i := 0; i+1 < len(kv); i += 2 {
		line[kv[i]] = kv[i+1]
	}
	journalMu.Lock()
	defer journalMu.Unlock()
	_ = json.NewEncoder(journal).Encode(line)
}
