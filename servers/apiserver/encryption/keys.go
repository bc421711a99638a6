// Package encryption is how the apiserver encrypts Secrets in its store, and with which keys.
package encryption

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/supervisor"
)

// File is the EncryptionConfiguration in pki/, with the keys in it.
const File = "encryption.yaml"

// Path is where it is.
func Path(p *supervisor.Plan) string { return cluster.PKIPath(p, File) }

// State are the paths in the data folder of what this package writes, for supervisor.Server.State.
func State() []string { return append(cluster.Written("pki/"+File), "pki/"+File+".lock") }

// Exists reports whether Secrets have been encrypted in this data folder, and may be still.
func Exists(p *supervisor.Plan) bool {
	_, err := os.Stat(Path(p))
	return !errors.Is(err, fs.ErrNotExist)
}

// config is an EncryptionConfiguration of km's: Secrets alone are encrypted, by secretbox. Of those that the CIS
// benchmark accepts, that is the one to have: aescbc does not notice data that somebody has changed, and kms needs a
// server of its own.
type config struct {
	keys []apiserverv1.Key // what has been written with any of them can be read; the first one writes
	// encrypts says that Secrets are written with the first key. Otherwise they are written as they are.
	encrypts bool
}

// Ensure has the file say what the apiserver needs in a run that encrypts Secrets, or in one that only reads those that
// others have encrypted. The first key is made here.
func Ensure(p *supervisor.Plan, encrypts bool) error {
	c, err := load(Path(p))
	switch {
	case err != nil:
		return err
	case c == nil && !encrypts:
		return nil
	case c == nil:
		c = &config{keys: []apiserverv1.Key{newKey()}}
	case c.encrypts == encrypts:
		return nil
	}
	c.encrypts = encrypts
	return c.save(Path(p))
}

// newKey makes a key. Its name stands before whatever is encrypted with it: no two clusters have the same.
func newKey() apiserverv1.Key {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	return apiserverv1.Key{Name: "km-" + strings.ToLower(rand.Text()[:10]), Secret: base64.StdEncoding.EncodeToString(secret[:])}
}

// upstream is the configuration as the apiserver reads it. What is not encrypted can always be read: it may be from
// before.
func (c *config) upstream() *apiserverv1.EncryptionConfiguration {
	providers := []apiserverv1.ProviderConfiguration{
		{Secretbox: &apiserverv1.SecretboxConfiguration{Keys: c.keys}},
		{Identity: &apiserverv1.IdentityConfiguration{}},
	}
	if !c.encrypts {
		slices.Reverse(providers)
	}
	return &apiserverv1.EncryptionConfiguration{
		TypeMeta:  metav1.TypeMeta{APIVersion: apiserverv1.SchemeGroupVersion.String(), Kind: "EncryptionConfiguration"},
		Resources: []apiserverv1.ResourceConfiguration{{Resources: []string{"secrets"}, Providers: providers}},
	}
}

func (c *config) save(path string) error {
	text, err := yaml.Marshal(c.upstream())
	if err != nil {
		return err
	}
	if err := cluster.Write(path, text); err != nil {
		return err
	}
	// What is written with a key that a power failure takes away is lost: etcd's data may be on another disk, and reach
	// that first.
	return errors.Join(syncFolder(filepath.Dir(path)), syncFolder(filepath.Dir(filepath.Dir(path))))
}

// syncFolder has the names in a folder on the disk when it returns.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// load reads the file. There is nothing, and no error, if it is not there.
func load(path string) (*config, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found apiserverv1.EncryptionConfiguration
	if err := yaml.UnmarshalStrict(text, &found); err != nil {
		return nil, fmt.Errorf("%s is damaged, and without its keys no encrypted Secret can be read: bring it back from a copy: %w", path, err)
	}
	foreign := fmt.Errorf("%s is not as km writes it: have it elsewhere, and name it with --apiserver.encryption-provider-config", path)
	if len(found.Resources) != 1 || !slices.Equal(found.Resources[0].Resources, []string{"secrets"}) {
		return nil, foreign
	}
	c := &config{}
	for i, provider := range found.Resources[0].Providers {
		switch {
		case provider.Secretbox != nil && c.keys == nil:
			c.keys, c.encrypts = provider.Secretbox.Keys, i == 0
		case provider.Identity == nil:
			return nil, foreign
		}
	}
	if len(c.keys) == 0 {
		return nil, foreign
	}
	return c, nil
}
