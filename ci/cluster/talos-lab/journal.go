package main

import (
	"encoding/json"
	"os"
	"sync"
	"time"
)

var logMu sync.Mutex

// record writes one JSON line: what happened to which machine, and who called what.
func record(event string, kv ...string) {
	line := map[string]string{"t": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "event": event}
	for i := 0; i+1 < len(kv); i += 2 {
		line[kv[i]] = kv[i+1]
	}
	logMu.Lock()
	defer logMu.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(line)
}
