package tlsfront

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// The files of the certificates' folder.
const (
	caFile   = "ca.crt"
	certFile = "server.crt"
	keyFile  = "server.key"
)

// certificates are those of a folder, read again when they have changed.
type certificates struct {
	folder string
	log    *slog.Logger

	mu     sync.Mutex
	seen   mark // of what was read last, good or not
	config *tls.Config
}

// mark changes when one of the files does. A change that keeps size and modification time (cp --preserve) still shows in ctime.
type mark [3]struct {
	inode        uint64
	size         int64
	mtime, ctime syscall.Timespec
}

func openCertificates(folder string, log *slog.Logger) (*certificates, error) {
	c := &certificates{folder: folder, log: log}
	// The mark comes first: a file that changes while it is read is read again.
	c.seen, _ = c.mark()
	config, err := c.load()
	if err != nil {
		return nil, err
	}
	c.config = config
	return c, nil
}

// current gives the configuration for one handshake. A set that cannot be used is logged, once, and the last good one stays.
func (c *certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, err := c.mark()
	if now == c.seen {
		return c.config
	}
	c.seen = now
	var config *tls.Config
	if err == nil {
		config, err = c.load()
	}
	if err != nil {
		c.log.Error("new TLS certificates not used; the last good ones stay", "error", err.Error())
		return c.config
	}
	c.log.Info("TLS certificates reloaded", "notAfter", config.Certificates[0].Leaf.NotAfter)
	c.config = config
	return config
}

func (c *certificates) mark() (mark, error) {
	var m mark
	var failed []error
	for i, name := range []string{caFile, certFile, keyFile} {
		info, err := os.Stat(filepath.Join(c.folder, name))
		if err != nil {
			failed = append(failed, err)
			continue
		}
		stat := info.Sys().(*syscall.Stat_t)
		m[i].inode, m[i].size, m[i].mtime, m[i].ctime = stat.Ino, stat.Size, stat.Mtim, stat.Ctim
	}
	return m, errors.Join(failed...)
}

// load makes what a handshake needs. Errors name the file.
func (c *certificates) load() (*tls.Config, error) {
	at := func(name string) string { return filepath.Join(c.folder, name) }
	authorities, err := readAuthorities(at(caFile))
	if err != nil {
		return nil, err
	}
	cert, err := os.ReadFile(at(certFile))
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(at(keyFile))
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", at(certFile), keyFile, err)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    authorities,
		NextProtos:   []string{"h2", "http/1.1"},
		// A resumed session would outlive the authority that let its client in.
		SessionTicketsDisabled: true,
	}, nil
}

// readAuthorities wants every certificate of the file to be one: x509.CertPool's own reader skips what it cannot read.
func readAuthorities(path string) (*x509.CertPool, error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool, count := x509.NewCertPool(), 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s: a %s is in it, only certificates belong there", path, block.Type)
		}
		authority, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", path, count+1, err)
		}
		pool.AddCert(authority)
		count++
	}
	if count == 0 {
		return nil, fmt.Errorf("%s: no certificate in it (PEM)", path)
	}
	return pool, nil
}
