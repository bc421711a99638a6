// Command realapp is all that the containers of the tests have: a server, a client, and the few commands that tests and
// `kubectl cp` run in a container. It is one static binary; under the name of a command it is that command.
package main

import (
	"archive/tar"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	args := os.Args
	if filepath.Base(args[0]) == "app" {
		args = args[1:]
	}
	if len(args) == 0 {
		log.Fatal("no command")
	}
	if err := run(filepath.Base(args[0]), args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(command string, args []string) error {
	switch command {
	case "web":
		return web()
	case "pause", "sleep":
		waitForEnd()
		return nil
	case "get":
		return get(args)
	case "lookup":
		return lookup(args)
	case "fail":
		fmt.Println("failing as asked")
		os.Exit(3)
	case "echo":
		fmt.Println(strings.Join(args, " "))
		return nil
	case "cat":
		return cat(args)
	case "write":
		if len(args) != 2 {
			return errors.New("write FILE TEXT")
		}
		return os.WriteFile(args[0], []byte(args[1]), 0o644)
	case "env":
		for _, name := range args {
			fmt.Println(os.Getenv(name))
		}
		return nil
	case "test":
		return test(args)
	case "tar":
		return archive(args)
	}
	return fmt.Errorf("unknown command %s", command)
}

// waitForEnd returns at once when the container is to end: process 1 has no default for signals.
func waitForEnd() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
}

// web answers with the name of its host; it is healthy until somebody breaks it.
func web() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	var broken atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, name) })
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, r *http.Request) {
		data, err := os.ReadFile(r.URL.Query().Get("path"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		_, _ = w.Write(data) // a client that left does not matter
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			http.Error(w, "broken", http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("POST /break", func(http.ResponseWriter, *http.Request) { broken.Store(true) })

	go func() {
		waitForEnd()
		os.Exit(0)
	}()
	fmt.Println("web: listening")
	return http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("web:", r.Method, r.URL)
		mux.ServeHTTP(w, r)
	}))
}

// get prints what a URL answers; with -for it tries until it answers with 200.
func get(args []string) error {
	flags := flag.NewFlagSet("get", flag.ExitOnError)
	ca := flags.String("ca", "", "file of the certificate authority")
	token := flags.String("token", "", "file of the bearer token")
	patience := flags.Duration("for", 0, "try again for so long")
	_ = flags.Parse(args) // exits on errors
	if flags.NArg() != 1 {
		return errors.New("get [flags] URL")
	}
	transport := &http.Transport{}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return fmt.Errorf("no certificate in %s", *ca)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	header := http.Header{}
	if *token != "" {
		text, err := os.ReadFile(*token)
		if err != nil {
			return err
		}
		header.Set("Authorization", "Bearer "+strings.TrimSpace(string(text)))
	}
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	for deadline := time.Now().Add(*patience); ; time.Sleep(200 * time.Millisecond) {
		err := getOnce(client, header, flags.Arg(0))
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func getOnce(client *http.Client, header http.Header, url string) error {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header = header
	r, err := client.Do(request)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", r.Status, body)
	}
	_, err = os.Stdout.Write(body)
	return err
}

func lookup(names []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, name := range names {
		addresses, err := net.DefaultResolver.LookupHost(ctx, name)
		if err != nil {
			return err
		}
		for _, address := range addresses {
			fmt.Println(address)
		}
	}
	return nil
}

func cat(files []string) error {
	if len(files) == 0 {
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// test is the one test that `kubectl cp` makes.
func test(args []string) error {
	if len(args) != 2 || args[0] != "-d" {
		return errors.New("test -d PATH")
	}
	info, err := os.Stat(args[1])
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", args[1])
	}
	return err
}

// archive is what `kubectl cp` uses of tar: `tar cf - PATH` and `tar xmf - -C FOLDER`.
func archive(args []string) error {
	var mode, folder, path string
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "-C" && i+1 < len(args):
			i++
			folder = args[i]
		case arg == "-" || strings.HasPrefix(arg, "--"): // the file is always standard input or output
		case mode == "":
			mode = strings.TrimPrefix(arg, "-")
		default:
			path = arg
		}
	}
	switch {
	case strings.HasPrefix(mode, "c"):
		return pack(path)
	case strings.HasPrefix(mode, "x"):
		return unpack(folder)
	}
	return errors.New("tar cf - PATH, or tar xmf - -C FOLDER")
}

func pack(path string) error {
	w := tar.NewWriter(os.Stdout)
	err := filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		header, err := tar.FileInfoHeader(info, "")
		if err != nil {
			return err
		}
		header.Name = strings.TrimPrefix(file, "/")
		if d.IsDir() {
			header.Name += "/"
		}
		if err := w.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}

func unpack(folder string) error {
	for r := tar.NewReader(os.Stdin); ; {
		header, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		path := filepath.Join(folder, header.Name)
		if header.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return err
			}
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, fs.FileMode(header.Mode).Perm()); err != nil {
			return err
		}
	}
}
