// This empty file lets label.go declare functions without bodies, whose bodies are in the runtime.
