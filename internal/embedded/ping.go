package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// pingLimit bounds one question and its answer. A Redis that needs longer is no use to our callers either.
const pingLimit = time.Second

var errLoading = errors.New("it is loading its files")

// ping asks the server on the socket whether it takes commands. It speaks the protocol itself: a client would bring
// a pool and retries, and would hide which of several answers came.
func ping(socket string) error {
	deadline := time.Now().Add(pingLimit)
	dialer := net.Dialer{Deadline: deadline}
	conn, err := dialer.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReaderSize(conn, 512).ReadSlice('\n')
	if err != nil {
		return err
	}
	switch answer := strings.TrimSpace(string(line)); {
	case answer == "+PONG":
		return nil
	case strings.HasPrefix(answer, "-LOADING"):
		return errLoading
	default:
		return fmt.Errorf("it answers %q", answer)
	}
}
