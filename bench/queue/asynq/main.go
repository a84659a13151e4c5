// asynq, producer and server in this process, at its defaults but for its concurrency:
//
//	asynq-bench <address of its Redis>
//
// It reads tasks from standard input and writes efforts to standard output, one line of JSON each, as the drivers in
// Node do.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const (
	concurrency       = 50
	payloadBytes      = 141
	idleJobsPerSecond = 100
	jobName           = "send"
)

type task struct {
	Phase   string  `json:"phase"`
	Jobs    int     `json:"jobs"`
	Seconds float64 `json:"seconds"`
}

type effort struct {
	Jobs      int      `json:"jobs"`
	ElapsedMs float64  `json:"elapsedMs"`
	P50Ms     *float64 `json:"p50Ms,omitempty"`
	P99Ms     *float64 `json:"p99Ms,omitempty"`
}

type payload struct {
	At  int64  `json:"at"`
	Id  string `json:"id"`
	Pad string `json:"pad"`
}

type silent struct{}

func (silent) Debug(...any) {}
func (silent) Info(...any)  {}
func (silent) Warn(...any)  {}
func (silent) Error(...any) {}
func (silent) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(1)
}

func dataOf(number int, at int64) []byte {
	data := payload{At: at, Id: fmt.Sprintf("%09d", number)}
	bare, _ := json.Marshal(data)
	if missing := payloadBytes - len(bare); missing > 0 {
		data.Pad = strings.Repeat("x", missing)
	}
	full, _ := json.Marshal(data)
	return full
}

func msSince(start time.Time) float64 { return float64(time.Since(start).Microseconds()) / 1000 }

type bench struct {
	store  asynq.RedisClientOpt
	client *asynq.Client
	admin  redis.UniversalClient
}

func (b *bench) enqueue(number int, at int64) {
	if _, err := b.client.Enqueue(asynq.NewTask(jobName, dataOf(number, at))); err != nil {
		panic(err)
	}
}

// All numbers below jobs, from as many goroutines as there are workers.
func (b *bench) enqueueAll(jobs int) {
	var next atomic.Int64
	var lanes sync.WaitGroup
	for lane := 0; lane < concurrency; lane++ {
		lanes.Add(1)
		go func() {
			defer lanes.Done()
			for number := int(next.Add(1)); number <= jobs; number = int(next.Add(1)) {
				b.enqueue(number, 0)
			}
		}()
	}
	lanes.Wait()
}

func (b *bench) serve(handle func(context.Context, *asynq.Task) error) *asynq.Server {
	server := asynq.NewServer(b.store, asynq.Config{Concurrency: concurrency, Logger: silent{}})
	if err := server.Start(asynq.HandlerFunc(handle)); err != nil {
		panic(err)
	}
	return server
}

// The clock stops when the last handler has returned; what asynq does behind it is in the CPU that is counted.
func (b *bench) processAll(jobs int, before func()) effort {
	start := time.Now()
	before()
	var done atomic.Int64
	finished := make(chan struct{})
	server := b.serve(func(context.Context, *asynq.Task) error {
		if done.Add(1) == int64(jobs) {
			close(finished)
		}
		return nil
	})
	<-finished
	elapsed := msSince(start)
	server.Shutdown()
	return effort{Jobs: jobs, ElapsedMs: elapsed}
}

func (b *bench) latency(seconds float64) effort {
	jobs := int(seconds * idleJobsPerSecond)
	took := make(chan float64, jobs)
	server := b.serve(func(_ context.Context, received *asynq.Task) error {
		now := time.Now().UnixNano()
		var data payload
		if err := json.Unmarshal(received.Payload(), &data); err != nil {
			return err
		}
		took <- float64(now-data.At) / 1e6
		return nil
	})
	start := time.Now()
	for number := 0; number < jobs; number++ {
		time.Sleep(time.Until(start.Add(time.Duration(number) * time.Second / idleJobsPerSecond)))
		b.enqueue(number, time.Now().UnixNano())
	}
	all := make([]float64, jobs)
	for index := range all {
		all[index] = <-took
	}
	elapsed := msSince(start)
	server.Shutdown()
	sort.Float64s(all)
	return effort{Jobs: jobs, ElapsedMs: elapsed, P50Ms: &all[jobs/2], P99Ms: &all[jobs*99/100]}
}

func (b *bench) work(t task) effort {
	start := time.Now()
	switch t.Phase {
	case "fill", "enqueue", "bulk":
		b.enqueueAll(t.Jobs)
	case "process":
		return b.processAll(t.Jobs, func() {})
	case "both":
		return b.processAll(t.Jobs, func() { b.enqueueAll(t.Jobs) })
	case "latency":
		return b.latency(t.Seconds)
	case "clear":
		// Deleting a queue of many jobs takes asynq longer than its client waits.
		if err := b.admin.FlushAll(context.Background()).Err(); err != nil {
			panic(err)
		}
	}
	return effort{Jobs: t.Jobs, ElapsedMs: msSince(start)}
}

func main() {
	store := asynq.RedisClientOpt{Addr: os.Args[1]}
	admin := store.MakeRedisClient().(redis.UniversalClient)
	b := &bench{store: store, client: asynq.NewClient(store), admin: admin}
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(map[string]bool{"isReady": true})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var t task
		if err := json.Unmarshal(lines.Bytes(), &t); err != nil {
			_ = out.Encode(map[string]string{"fault": err.Error()})
			continue
		}
		_ = out.Encode(b.work(t))
	}
}
