package proxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/kubernetes/cmd/kube-proxy/app"
	kubeproxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"
	"k8s.io/kubernetes/pkg/proxy/apis/config/scheme"
	"k8s.io/kubernetes/pkg/proxy/apis/config/validation"
	"sigs.k8s.io/yaml"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// configuration returns what the flags say, and over it what the file says that --proxy.config names. (Upstream's flags
// count only without a file; but here they have defaults that a file without them should not lose.)
func configuration(s *supervisor.Server) (config *kubeproxyconfig.KubeProxyConfiguration, err error) {
	text, err := fromFlags(s)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w; see `%s`", err, s.Command("help", names.Proxy))
	}
	mode := s.Value("proxy-mode")
	file := s.Value("config")
	if file != "" {
		patch, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("proxy: --proxy.config: %w", err)
		}
		var named struct{ Mode string }
		if err := yaml.Unmarshal(patch, &named); err != nil {
			return nil, fmt.Errorf("proxy: --proxy.config=%s: %w", file, err)
		}
		if named.Mode != "" {
			mode = named.Mode
		}
		if text, err = lay(text, patch); err != nil {
			return nil, fmt.Errorf("proxy: --proxy.config=%s: %w", file, err)
		}
	}
	codecs := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict)
	object, _, err := codecs.UniversalDecoder().Decode(text, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("proxy: --proxy.config=%s: %w", file, err)
	}
	config, ok := object.(*kubeproxyconfig.KubeProxyConfiguration)
	if !ok {
		return nil, fmt.Errorf("proxy: --proxy.config=%s is a %T", file, object)
	}
	if err := component.SameFeatures(names.Proxy, config.FeatureGates); err != nil {
		return nil, err
	}
	if mode == string(simulated) {
		config.Mode = kubeproxyconfig.ProxyModeNFTables // for the validation
	}
	if errs := validation.Validate(config); len(errs) > 0 {
		return nil, fmt.Errorf("proxy: %w; see `%s`", errs.ToAggregate(), s.Command("help", names.Proxy))
	}
	config.Mode = kubeproxyconfig.ProxyMode(mode)
	return config, nil
}

// fromFlags returns the configuration that the flags mean, as upstream writes it: it keeps it to itself otherwise.
func fromFlags(s *supervisor.Server) (text []byte, err error) {
	o := app.NewOptions()
	fs := flags(o)
	err = component.Replay(s, func(flag, value string) error {
		if flag == "config" || flag == "proxy-mode" && value == string(simulated) {
			return nil
		}
		return fs.Set(flag, value)
	})
	if err != nil {
		return nil, unwrap(err)
	}
	if err := o.Complete(fs); err != nil {
		return nil, err
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "km-proxy")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	o.WriteConfigTo = filepath.Join(dir, "config.yaml")
	if err := o.Run(context.Background()); err != nil { // writes the file, and nothing else
		return nil, err
	}
	return os.ReadFile(o.WriteConfigTo)
}

// unwrap takes from an error what pflag says of the flag, whose name the caller knows better.
func unwrap(err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return fmt.Errorf("--proxy.%s: %w", invalid.GetFlag().Name, invalid.Unwrap())
	}
	return err
}

// lay returns a YAML document with another one over it.
func lay(under, over []byte) ([]byte, error) {
	base, err := yaml.YAMLToJSON(under)
	if err != nil {
		return nil, err
	}
	patch, err := yaml.YAMLToJSONStrict(over)
	if err != nil {
		return nil, err
	}
	return jsonpatch.MergePatch(base, patch)
}
