package main

import (
	pb "cacheaside/v1"

	"google.golang.org/protobuf/proto"
)

const (
	callsMax = 1000    // of one message
	bytesMax = 1 << 20 // of its calls but the last
)

// write sends whatever waits in one message; alone, a call is not held back.
func (e *Exchange) write(stream pb.StreamService_ExchangeClient) {
	for {
		select {
		case call := <-e.unsent:
			if stream.Send(e.together(call)) != nil {
				return // read hears why.
			}
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Exchange) together(call *pb.Call) *pb.ExchangeRequest {
	calls, size := []*pb.Call{call}, proto.Size(call)
	for len(calls) < callsMax && size < bytesMax {
		select {
		case call := <-e.unsent:
			calls, size = append(calls, call), size+proto.Size(call)
		default:
			return &pb.ExchangeRequest{Calls: calls}
		}
	}
	return &pb.ExchangeRequest{Calls: calls}
}

func (e *Exchange) read(stream pb.StreamService_ExchangeClient) {
	for {
		message, err := stream.Recv()
		if err != nil {
			return
		}
		for _, answer := range message.Answers {
			if answered := e.take(answer.Id); answered != nil {
				answered <- answer
			}
		}
	}
}
