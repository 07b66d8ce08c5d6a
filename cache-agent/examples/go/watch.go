package main

import (
	"context"
	"sync/atomic"
	"time"

	pb "cacheaside/v1"

	"google.golang.org/grpc"
)

const (
	silence = 20 * time.Second       // the agent gives a sign of life every 15 s
	pause   = 200 * time.Millisecond // before one listens again
)

// Watch tells what becomes invalid, for callers that keep copies of their own: start Run before
// keeping the first one, and use copies only while it hears.
type Watch struct {
	Caches []string
	// Drop is told what is invalid. Everything in a cache is its WholeCache.
	Drop  func(*pb.WatchResponse_Invalidation)
	hears int32
}

func (w *Watch) Hears() bool { return atomic.LoadInt32(&w.hears) == 1 }

// Run watches until the context is done.
func (w *Watch) Run(ctx context.Context, channel grpc.ClientConnInterface) {
	if len(w.Caches) == 0 {
		panic("name the caches: a gap may be of all of them")
	}
	stub, cursor := pb.NewInvalidationServiceClient(channel), ""
	for ctx.Err() == nil {
		cursor = w.follow(ctx, stub, cursor)
		atomic.StoreInt32(&w.hears, 0)
		time.Sleep(pause)
	}
}

// follow hears one stream to its end, and returns the last cursor.
func (w *Watch) follow(ctx context.Context, stub pb.InvalidationServiceClient, cursor string) string {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	alive := time.AfterFunc(silence, cancel)
	defer alive.Stop()
	told, err := stub.Watch(ctx, &pb.WatchRequest{Caches: w.Caches, Cursor: cursor})
	for err == nil {
		var message *pb.WatchResponse
		if message, err = told.Recv(); err == nil {
			alive.Reset(silence)
			w.heard(message)
			cursor = message.Cursor
		}
	}
	return cursor
}

func (w *Watch) heard(message *pb.WatchResponse) {
	for _, one := range message.GetInvalidations().GetAll() {
		w.Drop(one)
	}
	if gap := message.GetGap(); gap != nil {
		for _, cache := range w.Caches {
			w.Drop(&pb.WatchResponse_Invalidation{Cache: cache, Target: &pb.WatchResponse_Invalidation_WholeCache{}})
		}
	}
	if sign := message.GetHeartbeat(); sign != nil {
		var hears int32
		if sign.Hears {
			hears = 1
		}
		atomic.StoreInt32(&w.hears, hears)
	}
}
