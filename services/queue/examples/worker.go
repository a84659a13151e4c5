// A worker in Go, with nothing but its standard library: go run worker.go
//
// Settings: QUEUE_URL, QUEUE, LEASE_MS, WORKER, API_KEY, SLOTS (jobs at a time). Put your work into handle.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// handle does one job: what it returns is the result, an error fails the attempt. It should heed ctx, which ends when
// the worker stops or the lease is lost.
func handle(ctx context.Context, job Job) (any, error) {
	var data struct {
		Name    string
		Seconds float64
		Fail    string
	}
	if err := json.Unmarshal(job.Data, &data); err != nil {
		return nil, err
	}
	select {
	case <-time.After(time.Duration(data.Seconds * float64(time.Second))):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if data.Fail != "" {
		return nil, errors.New(data.Fail)
	}
	return map[string]string{"greeting": "hello " + data.Name}, nil
}

type Lease struct {
	ID    string `json:"id"`
	Token string `json:"token"`
}

type Job struct {
	Lease
	Name     string          `json:"name"`
	Data     json.RawMessage `json:"data"`
	Attempt  int             `json:"attempt"`
	Attempts int             `json:"attempts"`
}

type body = map[string]any

var (
	base    = env("QUEUE_URL", "http://127.0.0.1:7403") + "/v1/queues/" + env("QUEUE", "demo")
	leaseMs = number("LEASE_MS", 30000)
	worker  = env("WORKER", fmt.Sprintf("go:%d", os.Getpid()))
	client  = &http.Client{Timeout: 30 * time.Second}
)

var errLost = errors.New("the lease is lost")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	var slots sync.WaitGroup
	for range number("SLOTS", 4) {
		slots.Add(1)
		go func() {
			defer slots.Done()
			work(ctx)
		}()
	}
	slots.Wait()
}

// work runs one job after the other; the outcome of each is told with the call for the next.
func work(ctx context.Context) {
	outcome := body{}
	for failures := 0; ctx.Err() == nil; {
		ask := body{"max": 1, "leaseMs": leaseMs, "worker": worker, "waitMs": 20000}
		for kind, items := range outcome {
			ask[kind] = items
		}
		var answer struct{ Jobs []Job }
		if err := post(ctx, "next", ask, &answer); err != nil {
			// The outcome is told again, until somebody hears it.
			failures = min(failures+1, 5)
			pause(ctx, time.Duration(rand.Float64()*float64(int(1)<<failures)*float64(time.Second)))
			continue
		}
		outcome, failures = body{}, 0
		for _, job := range answer.Jobs {
			outcome = run(ctx, job)
		}
	}
	if len(outcome) > 0 {
		last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = post(last, "ack", outcome, nil)
	}
}

func run(ctx context.Context, job Job) body {
	working, done := context.WithCancel(ctx)
	defer done()
	go keep(working, done, job.Lease)
	result, err := handle(working, job)
	switch {
	case err == nil:
		return body{"acks": []body{{"id": job.ID, "token": job.Token, "result": result}}}
	case ctx.Err() != nil:
		return body{"releases": []Lease{job.Lease}}
	default:
		fault := body{"type": fmt.Sprintf("%T", err), "message": err.Error()}
		return body{"fails": []body{{"id": job.ID, "token": job.Token, "error": fault}}}
	}
}

// keep renews the lease until the job is done; lose it, and the job is told to stop.
func keep(ctx context.Context, lose context.CancelFunc, lease Lease) {
	renewal := body{"leases": []body{{"id": lease.ID, "token": lease.Token, "leaseMs": leaseMs}}}
	for pause(ctx, time.Duration(leaseMs/3)*time.Millisecond) {
		if errors.Is(post(ctx, "renew", renewal, nil), errLost) {
			lose()
		}
	}
}

func post(ctx context.Context, verb string, ask body, answer any) error {
	text, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+":"+verb, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("content-type", "application/json")
	if key := os.Getenv("API_KEY"); key != "" {
		request.Header.Set("authorization", "Bearer "+key)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusConflict:
		return errLost
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s was answered %s", verb, response.Status)
	case answer == nil:
		return nil
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// pause reports whether it ended by itself.
func pause(ctx context.Context, long time.Duration) bool {
	select {
	case <-time.After(long):
		return true
	case <-ctx.Done():
		return false
	}
}

func env(name, or string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return or
}

func number(name string, or int) int {
	if value, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return value
	}
	return or
}
