package child

// Files of a child beyond standard input, output and error.
const (
	controlFD     = 3 + iota // orders and reports
	logFD                    // lines of its log
	FirstSocketFD            // sockets on which it listens
)

// order is what a parent tells its child after the plan. One field is set.
type order struct {
	Level         string `json:"level,omitempty"`
	Stop          bool   `json:"stop,omitempty"`
	SocketsClosed bool   `json:"socketsClosed,omitempty"`
}

// Report is what a child tells its parent. One field is set; Address comes with Ready, Code and Permanent with Failed.
// If none is set, nothing hinders the start any more. Degraded is empty if nothing is lacking any more.
type Report struct {
	Ready        bool    `json:"ready,omitempty"`
	Address      string  `json:"address,omitempty"`
	Failed       string  `json:"failed,omitempty"`
	Code         int     `json:"code,omitempty"` // the exit code that the failure asks for
	Permanent    bool    `json:"permanent,omitempty"`
	CloseSockets bool    `json:"closeSockets,omitempty"`
	Hindered     string  `json:"hindered,omitempty"`
	Degraded     *string `json:"degraded,omitempty"`
}
