package main

import (
	"context"
	"sync"
	"time"

	pb "cacheaside/v1"
)

// So long another caller may load, before one loads without filling.
const patience = 2 * time.Second

// ask is nil after any error, which means: read the source.
func (c *Cache) ask(ctx context.Context, request *pb.GetRequest, patience time.Duration) *pb.GetResponse {
	for deadline := time.Now().Add(patience); ; {
		answer, err := c.reads.Call(ctx, &pb.Call{Call: &pb.Call_Get{Get: request}})
		again := answer.GetGet().GetMiss().GetRetryAfter().AsDuration()
		if err != nil || again == 0 || time.Now().Add(again).After(deadline) {
			return answer.GetGet()
		}
		time.Sleep(again)
	}
}

// lease is the right, and the duty, to load a key.
type lease struct {
	cache, key string
	token      []byte
}

// end is the call that fills it with what was loaded, or gives it back.
func (l lease) end(loaded map[string][]byte, err error) *pb.Call {
	key := []byte(l.key)
	if err != nil {
		release := &pb.ReleaseLeaseRequest{Cache: l.cache, Key: key, LeaseToken: l.token}
		return &pb.Call{Call: &pb.Call_ReleaseLease{ReleaseLease: release}}
	}
	fill := &pb.FillRequest{Cache: l.cache, Key: key, LeaseToken: l.token}
	if value := loaded[l.key]; value != nil {
		fill.Loaded = &pb.FillRequest_Value{Value: value}
	} else {
		fill.Loaded = &pb.FillRequest_NotFound_{NotFound: &pb.FillRequest_NotFound{}}
	}
	return &pb.Call{Call: &pb.Call_Fill{Fill: fill}}
}

// each does something for each number below count at once, and waits for all.
func each(count int, do func(int)) {
	var group sync.WaitGroup
	group.Add(count)
	for i := 0; i < count; i++ {
		go func(i int) {
			defer group.Done()
			do(i)
		}(i)
	}
	group.Wait()
}
