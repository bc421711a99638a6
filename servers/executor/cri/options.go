package cri

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	cliflag "k8s.io/component-base/cli/flag"
	kubeletconfigv1beta1 "k8s.io/kubelet/config/v1beta1"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet/eviction"
	"k8s.io/kubernetes/pkg/kubelet/kubeletconfig/configfiles"
	utilfs "k8s.io/kubernetes/pkg/util/filesystem"
	"sigs.k8s.io/yaml"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// Flags returns the kubelet's flags, bound to its options.
func Flags(o *options.KubeletServer) *pflag.FlagSet {
	fs := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	fs.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	o.AddFlags(fs)
	options.AddGlobalFlags(fs)
	fs.VisitAll(func(f *pflag.Flag) {
		// Upstream calls each flag deprecated that a file may hold, too; that is for installers of machines to think
		// about.
		f.Deprecated, f.Hidden = "", false
	})
	return fs
}

// NewFlags returns options with what the flags say and nothing else.
func NewFlags(s *supervisor.Server) (*options.KubeletServer, error) {
	o, err := options.NewKubeletServer()
	if err != nil {
		return nil, err
	}
	return o, replay(s, o)
}

// replay sets on options what was set on the server's flags, other than those that the kubelet does not have.
func replay(s *supervisor.Server, o *options.KubeletServer) error {
	fs := Flags(o)
	return component.Replay(s, func(flag, value string) error {
		if fs.Lookup(flag) == nil {
			return nil
		}
		return fs.Set(flag, value)
	})
}

// newOptions returns options for one start. What they say comes, in this order, from the flags, from the files that
// --executor.config-dir and --executor.config name, from defaults, and from upstream's defaults.
func newOptions(ctx context.Context, s *supervisor.Server, defaults *kubeletconfigv1beta1.KubeletConfiguration) (*options.KubeletServer, error) {
	text, err := json.Marshal(defaults)
	if err != nil {
		return nil, err
	}
	layers := &layered{text: text}
	file := s.Value("config")
	if file != "" {
		if err := layers.add(ctx, file); err != nil {
			return nil, fmt.Errorf("executor: --executor.config=%s: %w", file, err)
		}
	}
	if dir := s.Value("config-dir"); dir != "" {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".conf" {
				return err
			}
			return layers.add(ctx, path)
		})
		if err != nil {
			return nil, fmt.Errorf("executor: --executor.config-dir=%s: %w", dir, err)
		}
	}
	// Paths in the file are relative to it.
	if file, err = filepath.Abs(file); err != nil {
		return nil, err
	}
	loader, err := configfiles.NewFsLoader(layers, file)
	if err != nil {
		return nil, err
	}
	kc, err := loader.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("executor: --executor.config: %w", err)
	}
	if kc.MergeDefaultEvictionSettings {
		all := maps.Clone(eviction.DefaultEvictionHard)
		maps.Copy(all, kc.EvictionHard)
		kc.EvictionHard = all
	}
	if err := component.SameFeatures(names.Executor, kc.FeatureGates); err != nil {
		return nil, err
	}
	// The flags come before the files.
	o := &options.KubeletServer{KubeletFlags: *options.NewKubeletFlags(), KubeletConfiguration: *kc}
	return o, replay(s, o)
}

// layered is a file system in which every file is one KubeletConfiguration, made of several.
type layered struct {
	utilfs.DefaultFs
	text []byte // JSON
}

func (l *layered) ReadFile(string) ([]byte, error) { return l.text, nil }

// add lays a file over what is there, as upstream does with those of --config-dir.
func (l *layered) add(ctx context.Context, file string) error {
	path, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	loader, err := configfiles.NewFsLoader(&utilfs.DefaultFs{}, path)
	if err != nil {
		return err
	}
	if _, err := loader.Load(ctx); err != nil { // tells what is wrong with this one
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if text, err = yaml.YAMLToJSON(text); err != nil {
		return err
	}
	l.text, err = jsonpatch.MergePatch(l.text, text)
	return err
}
