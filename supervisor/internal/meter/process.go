package meter

// ProcessSeconds is the CPU time that this process has used so far, in seconds; 0 where the operating system does not
// tell.
func ProcessSeconds() float64 { return usage() }
