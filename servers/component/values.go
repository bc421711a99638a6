package component

import (
	"regexp"
	"slices"
	"strings"

	"github.com/seed-200a7251/km/supervisor"
)

// FlagValues is a server's FlagValues: the values of more, by flag, and of other flags those that upstream's usage
// names. Upstream has no other list of them that could be asked.
func FlagValues(more map[string][]string) func(s *supervisor.Server, flag string) []string {
	return func(s *supervisor.Server, flag string) []string {
		if values, ok := more[flag]; ok {
			return values
		}
		f := s.Flags().Lookup(flag)
		switch {
		case f == nil:
			return nil
		case flag == "feature-gates":
			return gates(f.Usage)
		case flag == "controllers":
			return controllers(f.Usage)
		}
		return named(f.Usage)
	}
}

// gate is a line of the usage of --feature-gates. The components of Kubernetes take a gate of kube's without that
// prefix, and some only so.
var gate = regexp.MustCompile(`(?m)^(?:kube:)?([\w:]+)=true\|false \(([^)]*)\)`)

// gates are the values of --feature-gates.
func gates(usage string) []string {
	var values []string
	for _, match := range gate.FindAllStringSubmatch(usage, -1) {
		name, about := match[1], match[2]
		values = append(values, name+"=true\t"+about, name+"=false\t"+about)
	}
	return values
}

// controllers are the values of --controllers: each controller, and each with a - in front.
func controllers(usage string) []string {
	all, off, _ := strings.Cut(usage, "Disabled-by-default controllers")
	names, disabled := after(allControllers, all), after(ofWhich, off)
	values := make([]string, 0, 2*len(names))
	for _, name := range names {
		about := "on by default"
		if slices.Contains(disabled, name) {
			about = "off by default"
		}
		values = append(values, name+"\t"+about)
	}
	for _, name := range names {
		values = append(values, "-"+name+"\twithout "+name)
	}
	return values
}

// list is a list of words in upstream's usages: apart by commas, bars, "or" and "and", and in quotes or not.
const list = `\[?((?:['"]?[A-Za-z0-9][\w.+/-]*['"]?(?:,? (?:or|and) |\s*[,|]\s*)?)+)`

// These are the ways in which upstream begins such a list.
var (
	allControllers = regexp.MustCompile(`All controllers: ` + list)
	ofWhich        = regexp.MustCompile(`^: ` + list)
	possible       = regexp.MustCompile(`(?:(?:Possible|Preferred) values|Supported media types|Comma-delimited list of(?: admission plugins)?|[Oo]ne of|Options): ` + list)
	known          = regexp.MustCompile(`(?:Known modes|Valid options|Valid values|Acceptable options) are ` + list)
	insecure       = regexp.MustCompile(`Insecure values: ` + list)
	between        = regexp.MustCompile(`,? (?:or|and) |\s*[,|]\s*`)
)

// after are the words of the list that begins as intro says.
func after(intro *regexp.Regexp, usage string) []string {
	match := intro.FindStringSubmatch(usage)
	if match == nil {
		return nil
	}
	var words []string
	for _, word := range between.Split(match[1], -1) {
		if word = strings.Trim(word, `'".`); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// named are the values that a usage names.
func named(usage string) []string {
	values := append(after(possible, usage), after(known, usage)...)
	for _, value := range after(insecure, usage) {
		values = append(values, value+"\tinsecure")
	}
	return values
}
