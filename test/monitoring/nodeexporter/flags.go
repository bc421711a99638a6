package nodeexporter

import (
	"strconv"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/spf13/pflag"
)

// Options are what the flags say.
type Options struct {
	ListenAddresses []string
	WebConfigFile   string

	metricsPath       string
	noOwn, noDefaults bool
	maxRequests       int
	collectors        []string // arguments
}

// AddFlags adds the flags of upstream's main, but those of the Go runtime, of the log and of systemd's sockets, and all
// of the collectors, which have declared theirs with kingpin.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&o.ListenAddresses, "web.listen-address", []string{":9100"}, "address to expose metrics and web interface on; repeatable")
	fs.StringVar(&o.WebConfigFile, "web.config.file", "", "configuration file that can enable TLS or authentication")
	fs.StringVar(&o.metricsPath, "web.telemetry-path", "/metrics", "path under which to expose metrics")
	fs.BoolVar(&o.noOwn, "web.disable-exporter-metrics", false, "exclude metrics about the exporter itself (promhttp_*, process_*, go_*)")
	fs.IntVar(&o.maxRequests, "web.max-requests", 40, "maximum number of parallel scrape requests; 0 for any number")
	fs.BoolVar(&o.noDefaults, "collector.disable-defaults", false, "set all collectors to disabled by default")
	everyProgram := kingpin.New("", "")
	for _, f := range kingpin.CommandLine.Model().Flags {
		if everyProgram.GetFlag(f.Name) != nil {
			continue // --help and the like
		}
		v := &collectorFlag{Value: f.Value, options: o, name: f.Name, text: strings.Join(f.Default, ",")}
		if !f.IsBoolFlag() {
			fs.AddFlag(&pflag.Flag{Name: f.Name, Usage: f.Help, Value: v, DefValue: v.text, Hidden: f.Hidden})
			continue
		}
		if v.text == "" {
			v.text = "false"
		}
		no := &collectorFlag{options: o, name: "no-" + f.Name, text: "false"}
		fs.AddFlag(&pflag.Flag{Name: f.Name, Usage: f.Help, Value: &switchFlag{v}, DefValue: v.text, NoOptDefVal: "true", Hidden: f.Hidden})
		fs.AddFlag(&pflag.Flag{Name: no.name, Usage: "the opposite", Value: &switchFlag{no}, DefValue: "false", NoOptDefVal: "true", Hidden: true})
	}
}

// collectorFlag is a flag of a collector as one of pflag's: what it is set to becomes an argument for kingpin.
type collectorFlag struct {
	kingpin.Value
	options    *Options
	name, text string
}

func (f *collectorFlag) String() string { return f.text }
func (f *collectorFlag) Type() string   { return "string" }

func (f *collectorFlag) Set(text string) error {
	if err := f.Value.Set(text); err != nil {
		return err
	}
	f.text = text
	f.options.collectors = append(f.options.collectors, "--"+f.name+"="+text)
	return nil
}

// switchFlag is one that is on or off, which kingpin writes as --NAME and --no-NAME.
type switchFlag struct{ *collectorFlag }

func (f *switchFlag) Type() string { return "bool" }

func (f *switchFlag) Set(text string) error {
	on, err := strconv.ParseBool(text)
	if err != nil {
		return err
	}
	f.text = strconv.FormatBool(on)
	name, negated := strings.CutPrefix(f.name, "no-")
	if on != negated {
		f.options.collectors = append(f.options.collectors, "--"+name)
	} else {
		f.options.collectors = append(f.options.collectors, "--no-"+name)
	}
	return nil
}
