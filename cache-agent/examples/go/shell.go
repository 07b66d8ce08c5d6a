// Try the cache by hand: you ask, and you are the database, too.
//
//	get KEY…           asks for one key, or for many together
//	row KEY [VALUE]    answers `load KEY`; without a value there is no such row
//	invalidate KEY…    tells the fleet that rows have changed
//	watch              says what becomes invalid
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	pb "cacheaside/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

type shell struct {
	channel *grpc.ClientConn
	cache   *Cache
	mutex   sync.Mutex
	rows    map[string][]chan []byte
}

func (s *shell) load(_ context.Context, keys []string) (map[string][]byte, error) {
	rows, loaded := make([]chan []byte, len(keys)), map[string][]byte{}
	for i, key := range keys {
		rows[i] = make(chan []byte, 1)
		s.mutex.Lock()
		s.rows[key] = append(s.rows[key], rows[i])
		s.mutex.Unlock()
		fmt.Println("load", key)
	}
	for i, key := range keys {
		if value := <-rows[i]; value != nil {
			loaded[key] = value
		}
	}
	return loaded, nil
}

func (s *shell) get(keys []string) error {
	ctx, values, err := context.Background(), map[string][]byte{}, error(nil)
	if len(keys) == 1 {
		values[keys[0]], err = s.cache.Get(ctx, "users", keys[0], s.load)
	} else {
		values, err = s.cache.GetMany(ctx, "users", keys, s.load)
	}
	for _, key := range keys {
		if value := values[key]; err == nil && value != nil {
			fmt.Println("got", key, string(value))
		} else if err == nil {
			fmt.Println("got", key)
		}
	}
	return err
}

func (s *shell) row(key string, value []byte) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, waiting := range s.rows[key] {
		waiting <- value
	}
	delete(s.rows, key)
}

func (s *shell) watch() {
	watch := &Watch{Caches: []string{"users"}, Drop: func(one *pb.WatchResponse_Invalidation) {
		if key := one.GetKey(); key != nil {
			fmt.Println("drop", one.Cache, "key", string(key))
		} else {
			fmt.Println("drop", one.Cache, "whole_cache")
		}
	}}
	go watch.Run(context.Background(), s.channel)
	for !watch.Hears() {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println("hears")
}

func (s *shell) run(line string) {
	words := strings.Fields(line)
	var err error
	switch word, rest := words[0], words[1:]; word {
	case "get":
		err = s.get(rest)
	case "row":
		var value []byte
		if len(rest) > 1 {
			value = []byte(rest[1])
		}
		s.row(rest[0], value)
	case "invalidate":
		request := &pb.InvalidateRequest{Cache: "users"}
		for _, key := range rest {
			request.Keys = append(request.Keys, []byte(key))
		}
		if err = s.cache.Invalidate(context.Background(), request); err == nil {
			fmt.Println("invalid", strings.Join(rest, " "))
		}
	case "watch":
		s.watch()
	}
	if err != nil {
		fmt.Println("failed", line, err)
	}
}

func main() {
	again := backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, MaxDelay: time.Second}
	channel, err := grpc.Dial(os.Args[1], grpc.WithInsecure(),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: again, MinConnectTimeout: time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
	if err != nil {
		panic(err)
	}
	s := &shell{channel: channel, cache: NewCache(channel), rows: map[string][]chan []byte{}}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		go s.run(lines.Text())
	}
}
