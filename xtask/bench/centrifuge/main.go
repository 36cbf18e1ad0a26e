// The Centrifuge library behind a server of unidirectional event streams, to be measured beside our fan-out: one channel,
// every reader subscribed by the server, a message published by POST /pub. Prints its address and serves until it is killed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"
)

const (
	channel      = "seats"
	bytesMax     = 64 * 1024
	writeTimeout = 10 * time.Second
	pingInterval = time.Minute
)

// eventStream is a connection as the library writes to it. The handler's goroutine writes; the library waits for it, as its
// own handler of bidirectional event streams does.
type eventStream struct {
	mu       sync.Mutex
	messages chan [][]byte
	written  chan struct{}
	closing  chan struct{}
	gone     <-chan struct{}
	closed   bool
}

func (t *eventStream) Name() string                      { return "uni_sse" }
func (t *eventStream) AcceptProtocol() string            { return "h1" }
func (t *eventStream) Protocol() centrifuge.ProtocolType { return centrifuge.ProtocolTypeJSON }
func (t *eventStream) ProtocolVersion() centrifuge.ProtocolVersion {
	return centrifuge.ProtocolVersion2
}
func (t *eventStream) Unidirectional() bool      { return true }
func (t *eventStream) Emulation() bool           { return false }
func (t *eventStream) DisabledPushFlags() uint64 { return centrifuge.PushFlagDisconnect }
func (t *eventStream) PingPongConfig() centrifuge.PingPongConfig {
	return centrifuge.PingPongConfig{PingInterval: pingInterval}
}

func (t *eventStream) Write(message []byte) error { return t.WriteMany(message) }

func (t *eventStream) WriteMany(messages ...[]byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	select {
	case t.messages <- messages:
	case <-t.gone:
		return nil
	}
	select {
	case <-t.written:
	case <-t.gone:
	}
	return nil
}

func (t *eventStream) Close(centrifuge.Disconnect) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		close(t.closing)
	}
	return nil
}

func subscribe(node *centrifuge.Node) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		stream := &eventStream{
			messages: make(chan [][]byte), written: make(chan struct{}), closing: make(chan struct{}), gone: r.Context().Done(),
		}
		client, leave, err := centrifuge.NewClient(r.Context(), node, stream)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer func() { _ = leave() }()
		w.Header().Set("Content-Type", "text/event-stream")
		out := http.NewResponseController(w)
		go client.Connect(centrifuge.ConnectRequest{})
		for {
			select {
			case <-stream.gone:
				return
			case <-stream.closing:
				return
			case messages := <-stream.messages:
				_ = out.SetWriteDeadline(time.Now().Add(writeTimeout))
				for _, message := range messages {
					if _, err := w.Write([]byte("data: " + string(message) + "\n\n")); err != nil {
						return
					}
				}
				if err := out.Flush(); err != nil {
					return
				}
				select {
				case stream.written <- struct{}{}:
				case <-stream.gone:
					return
				}
			}
		}
	}
}

func publish(node *centrifuge.Node) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		message, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bytesMax))
		if err == nil {
			_, err = node.Publish(channel, message)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func run() error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{},
			Subscriptions: map[string]centrifuge.SubscribeOptions{channel: {}},
		}, nil
	})
	if err := node.Run(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	http.HandleFunc("GET /sub", subscribe(node))
	http.HandleFunc("POST /pub", publish(node))
	fmt.Printf("http://%s\n", listener.Addr())
	if err := http.Serve(listener, nil); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
