package conformance

// few are the specs of a short run, by the kind of nodes.
var few = map[string][]string{
	simulatedNodes: {`\[sig-auth\].*\[Conformance\]`},
	realNodes:      {`Services should serve a basic endpoint from pods`},
}
