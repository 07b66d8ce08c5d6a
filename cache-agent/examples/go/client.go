package main

import (
	"context"
	"time"

	pb "cacheaside/v1"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Cache answers from the agent, and loads what is missed; one is enough for a process. It reads
// over one stream and writes over another: a fill is not to queue up behind those who wait for it.
type Cache struct{ reads, writes Line }

// Load reads keys of the source. What it has not is not in the map.
type Load func(ctx context.Context, keys []string) (map[string][]byte, error)

func NewCache(channel grpc.ClientConnInterface) *Cache {
	stub := pb.NewStreamServiceClient(channel)
	return &Cache{reads: Line{stub: stub}, writes: Line{stub: stub}}
}

// Get is the value of a key, loaded once in the fleet; nil if the source has none.
func (c *Cache) Get(ctx context.Context, cache, key string, load Load) ([]byte, error) {
	values, err := c.get(ctx, cache, []string{key}, load, patience, nil)
	return values[key], err
}

// GetMany is what there is of these keys; all that are missed are loaded together.
func (c *Cache) GetMany(ctx context.Context, cache string, keys []string, load Load) (
	map[string][]byte, error) {
	// Whoever holds leases does not wait for those of others.
	return c.get(ctx, cache, keys, load, 0, &durationpb.Duration{})
}

// Invalidate is to be called after the source's commit.
func (c *Cache) Invalidate(ctx context.Context, request *pb.InvalidateRequest) error {
	_, err := c.writes.Call(ctx, &pb.Call{Call: &pb.Call_Invalidate{Invalidate: request}})
	return err
}

func (c *Cache) get(ctx context.Context, cache string, keys []string, load Load,
	patience time.Duration, wait *durationpb.Duration) (map[string][]byte, error) {
	answers := make([]*pb.GetResponse, len(keys))
	each(len(keys), func(i int) {
		request := &pb.GetRequest{Cache: cache, Key: []byte(keys[i]), Wait: wait}
		answers[i] = c.ask(ctx, request, patience)
	})
	values, missed, leases := map[string][]byte{}, []string{}, []lease{}
	for i, key := range keys {
		if hit := answers[i].GetHit(); hit != nil {
			values[key] = append([]byte{}, hit.Entry.Value...)
		} else if answers[i].GetNegative() == nil {
			missed = append(missed, key)
		}
		if given := answers[i].GetMiss().GetLease(); given != nil {
			leases = append(leases, lease{cache, key, given.Token})
		}
	}
	if len(missed) == 0 {
		return values, nil
	}
	loaded, err := load(ctx, missed)
	each(len(leases), func(i int) {
		// The value is good whatever becomes of this: SUPERSEDED is returned, but not cached.
		_, _ = c.writes.Call(context.Background(), leases[i].end(loaded, err))
	})
	for key, value := range loaded {
		values[key] = value
	}
	return values, err
}
