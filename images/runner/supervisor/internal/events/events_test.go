package events

import (
	"fmt"
	"testing"
)

func TestEverySubscriberGetsEveryLine(t *testing.T) {
	var hub Hub
	hub.Write([]byte("before\n"))
	first, stopFirst := hub.Subscribe()
	second, stopSecond := hub.Subscribe()
	line := []byte("a\n")
	hub.Write(line)
	line[0] = 'x' // as a logger does
	for _, lines := range []<-chan []byte{first, second} {
		if got := string(<-lines); got != "a\n" {
			t.Errorf("got %q", got)
		}
	}
	stopFirst()
	stopFirst()
	hub.Write([]byte("b\n"))
	if _, open := <-first; open {
		t.Error("a line after the stop")
	}
	if got := string(<-second); got != "b\n" {
		t.Errorf("got %q", got)
	}
	stopSecond()
}

func TestSlowSubscriberIsCutOff(t *testing.T) {
	var hub Hub
	lines, stop := hub.Subscribe()
	defer stop()
	for i := range backlog + 1 {
		fmt.Fprintln(&hub, i)
	}
	got := 0
	for range lines {
		got++
	}
	if got != backlog {
		t.Errorf("%d lines before the end, want %d", got, backlog)
	}
}
