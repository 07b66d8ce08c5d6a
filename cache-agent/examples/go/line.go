package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "cacheaside/v1"

	"google.golang.org/protobuf/types/known/durationpb"
)

// Line makes calls over a stream that is opened anew when it has ended.
type Line struct {
	stub     pb.StreamServiceClient
	mutex    sync.Mutex
	exchange *Exchange
}

// An agent that restarts is back soon.
var retries = []time.Duration{20 * time.Millisecond, 200 * time.Millisecond}

const (
	timeout = time.Second             // of one call, which the agent keeps
	late    = 1500 * time.Millisecond // of a call and its retries: the agent hangs
)

// Call answers a call, which is made again if its stream ends before.
func (l *Line) Call(ctx context.Context, call *pb.Call) (*pb.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, late)
	defer cancel()
	call.Timeout = durationpb.New(timeout)
	for _, pause := range retries {
		answer, err := l.open().Call(ctx, call)
		if !errors.Is(err, ErrEnded) {
			return checked(answer, err)
		}
		time.Sleep(pause)
	}
	return checked(l.open().Call(ctx, call))
}

func (l *Line) open() *Exchange {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.exchange == nil || l.exchange.Ended() {
		l.exchange = NewExchange(l.stub)
	}
	return l.exchange
}

func checked(answer *pb.Answer, err error) (*pb.Answer, error) {
	if failure := answer.GetFailure(); failure != nil {
		return nil, fmt.Errorf("%s: %s", failure.Reason, failure.Message)
	}
	return answer, err
}
