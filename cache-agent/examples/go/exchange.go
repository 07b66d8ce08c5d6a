package main

import (
	"context"
	"errors"
	"sync"

	pb "cacheaside/v1"
)

// ErrEnded says that the stream ended before the answer came.
var ErrEnded = errors.New("the agent ended the stream")

// Exchange is one stream: calls go out together, answers come back in any order.
type Exchange struct {
	ctx     context.Context // done when the stream has ended
	unsent  chan *pb.Call
	mutex   sync.Mutex
	last    uint64
	waiting map[uint64]chan *pb.Answer
}

func NewExchange(stub pb.StreamServiceClient) *Exchange {
	ctx, cancel := context.WithCancel(context.Background())
	e := &Exchange{ctx: ctx, unsent: make(chan *pb.Call, callsMax), waiting: map[uint64]chan *pb.Answer{}}
	go func() {
		defer cancel()
		if stream, err := stub.Exchange(ctx); err == nil {
			go e.write(stream)
			e.read(stream)
		}
	}()
	return e
}

func (e *Exchange) Ended() bool { return e.ctx.Err() != nil }

// Call answers a call, which is given an id.
func (e *Exchange) Call(ctx context.Context, call *pb.Call) (*pb.Answer, error) {
	answered := make(chan *pb.Answer, 1)
	e.mutex.Lock()
	e.last++
	id := e.last
	e.waiting[id] = answered
	e.mutex.Unlock()
	defer e.take(id)

	sent := &pb.Call{Id: id, Timeout: call.Timeout, Call: call.Call}
	for unsent := e.unsent; ; unsent = nil {
		select {
		case unsent <- sent:
		case answer := <-answered:
			return answer, nil
		case <-e.ctx.Done():
			return nil, ErrEnded
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (e *Exchange) take(id uint64) chan *pb.Answer {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	answered := e.waiting[id]
	delete(e.waiting, id)
	return answered
}
