package supervisor

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Confirm shows the lines on standard error and asks, on the terminal, whether to go on. Any answer other than yes is
// an error, as is a missing terminal; the error says that nothing was done, in the caller's word: "stopped", "deleted".
// It is for commands with a flag --yes, with which they do not call Confirm.
func (hk *HyperKube) Confirm(ctx context.Context, lines []string, done string) error {
	for _, line := range lines {
		fmt.Fprintln(hk.errOut(), text.Visible(line))
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return fmt.Errorf("nothing was %s, as there is no terminal on which to ask; --yes goes on without asking", done)
	}
	fmt.Fprint(hk.errOut(), "Go on? [y/N] ")
	answered := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n') // at its end the answer is no
		answered <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case line := <-answered:
		if line == "y" || line == "yes" {
			return nil
		}
	case <-ctx.Done():
		fmt.Fprintln(hk.errOut()) // the cursor stands behind the question
	}
	return fmt.Errorf("nothing was %s", done)
}
