// Package translations keeps kubectl's texts in other languages out of every start that is not kubectl's. Upstream
// packs, unpacks and parses them while packages are initialised, at the first text that a package variable holds, even
// if they are English. No other package takes as long. Import it for that effect.
package translations

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/kubectl/pkg/util/i18n"
)

// name is what kubectl is called by: package kubectl cannot be asked, as it comes later.
const name = "kubectl"

// skipped says that a text was asked for, and that nothing was loaded for it.
var skipped bool

// Upstream wants this to be set before any text is asked for. Packages are initialised in the order of their import
// paths, as far as their imports allow, and this one comes before those of k8s.io.
func init() {
	if called(os.Args) {
		return
	}
	// The error is that it is too late. All texts are right then, too.
	_ = i18n.SetLoadTranslationsFunc(func() error { skipped = true; return nil })
}

// called reports whether the arguments may call kubectl: by its link, or by its name among other words.
func called(args []string) bool {
	if len(args) == 0 {
		return false
	}
	return strings.TrimSuffix(filepath.Base(args[0]), ".exe") == name || slices.Contains(args[1:], name)
}
