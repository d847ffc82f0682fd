package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	lockTries = 20
	lockAgain = 50 * time.Millisecond
)

// order is one line of standard input: start a process, or end one.
type order struct {
	Start *process `json:"start,omitempty"`
	// Signal is the number to send to the process Name.
	Signal int    `json:"signal,omitempty"`
	Name   string `json:"name,omitempty"`
}

// process is what to start, and where its output goes.
type process struct {
	Name        string            `json:"name"`
	Program     string            `json:"program"`
	Arguments   []string          `json:"arguments"`
	Environment map[string]string `json:"environment"`
	Directory   string            `json:"directory"`
	Log         string            `json:"log"`
}

// report is one line of standard output.
type report struct {
	Event string `json:"event"` // "started", "refused" or "exited"
	Name  string `json:"name"`
	Pid   int    `json:"pid,omitempty"`
	// Status says how the process ended, or why it did not start.
	Status string `json:"status,omitempty"`
}

// supervise starts processes on order and kills all of them when standard
// input closes, which is what happens when the caller ends in whatever way,
// SIGKILL included. Should the supervisor itself be killed, the kernel kills
// the processes (PR_SET_PDEATHSIG).
//
// The lock file is held until the last process is gone, so that whoever gets
// the lock may remove the folder.
func supervise(args []string) int {
	flags := flag.NewFlagSet("supervise", flag.ContinueOnError)
	lock := flags.String("lock", "", "file to hold a lock on while processes live")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *lock != "" {
		held, err := os.OpenFile(*lock, os.O_CREATE|os.O_RDWR, 0o600)
		// Whoever looks whether the lock is free holds it for a moment.
		for try := 0; err == nil && try < lockTries; try++ {
			if err = syscall.Flock(int(held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
				break
			}
			if time.Sleep(lockAgain); try < lockTries-1 {
				err = nil
			}
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "supervise: cannot lock %s: %v\n", *lock, err)
			return 3
		}
		defer held.Close()
	}
	// The end of the caller is seen on standard input; until everything is
	// killed, nothing else may end this process.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP, syscall.SIGINT)
	// PR_SET_PDEATHSIG fires when the starting thread ends: this one must stay.
	runtime.LockOSThread()
	s := supervisor{children: map[string]*exec.Cmd{}, out: json.NewEncoder(os.Stdout)}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			fmt.Fprintf(os.Stderr, "supervise: not an order: %v\n", err)
			continue
		}
		if o.Start != nil {
			s.start(*o.Start)
		} else if o.Signal != 0 {
			s.signal(o.Name, syscall.Signal(o.Signal))
		}
	}
	s.killAll()
	return 0
}

type supervisor struct {
	mutex    sync.Mutex
	children map[string]*exec.Cmd
	waiting  sync.WaitGroup
	out      *json.Encoder
}

func (s *supervisor) start(p process) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	cmd, err := s.spawn(p)
	if err != nil {
		s.report(report{Event: "refused", Name: p.Name, Status: err.Error()})
		return
	}
	s.children[p.Name] = cmd
	s.waiting.Add(1)
	s.report(report{Event: "started", Name: p.Name, Pid: cmd.Process.Pid})
	go func() {
		defer s.waiting.Done()
		_ = cmd.Wait() // the state below says more than the error
		s.mutex.Lock()
		defer s.mutex.Unlock()
		if s.children[p.Name] == cmd {
			delete(s.children, p.Name)
		}
		s.report(report{Event: "exited", Name: p.Name, Pid: cmd.Process.Pid, Status: cmd.ProcessState.String()})
	}()
}

func (s *supervisor) spawn(p process) (*exec.Cmd, error) {
	if s.children[p.Name] != nil {
		return nil, errors.New("a process of this name runs already")
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(p.Program, p.Arguments...)
	cmd.Dir = p.Directory
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// Nothing of the caller's environment reaches the processes unless it is named.
	cmd.Env = []string{}
	for name, value := range p.Environment {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd, cmd.Start()
}

func (s *supervisor) signal(name string, signal syscall.Signal) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if cmd := s.children[name]; cmd != nil {
		_ = cmd.Process.Signal(signal) // it may just have ended
	}
}

// killAll ends everything at once: the folder is thrown away, so nobody needs
// time to write anything.
func (s *supervisor) killAll() {
	s.mutex.Lock()
	for _, cmd := range s.children {
		_ = cmd.Process.Kill()
	}
	s.mutex.Unlock()
	s.waiting.Wait()
}

// report must be called with the mutex held. A caller that is gone reads nothing.
func (s *supervisor) report(r report) { _ = s.out.Encode(r) }
