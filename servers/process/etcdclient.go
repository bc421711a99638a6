package process

import (
	_ "unsafe" // for linkname

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
	_ "k8s.io/apiserver/pkg/storage/storagebackend/factory" // has the variable
)

// etcd3ClientLogger is the logger of the apiserver's etcd clients. Upstream makes it when the program starts, writes
// JSON to standard error with it, and gives no way to set it. A test sees to it that this is still that variable.
//
//go:linkname etcd3ClientLogger k8s.io/apiserver/pkg/storage/storagebackend/factory.etcd3ClientLogger
var etcd3ClientLogger *zap.Logger

// placeEtcdClients makes the lines of the apiserver's etcd clients lines of the apiserver.
func placeEtcdClients(ls *logging.Logs) {
	etcd3ClientLogger = zap.New(ls.Placing(), zap.AddCaller()).Named("etcd-client")
}
