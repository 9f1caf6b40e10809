package main

import (
	"crypto/tls"
	stdx509 "crypto/x509"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/siderolabs/crypto/x509"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

const port = "50000" // of apid, on every Talos machine

// listen puts port 50000 of a machine into a mode: "" serves, "maintenance" presents a certificate that no cluster knows
// and asks for none, "down" refuses connections and cuts those that are open.
func (m *machine) listen(l *lab, mode string) {
	if m.mode == mode && m.serving == (mode != "down") {
		return
	}
	m.shut()
	if mode == "down" {
		return
	}
	m.mode = mode
	ca, auth := m.ca, tls.RequireAndVerifyClientCert
	if mode == "maintenance" {
		ca, _ = secrets.NewTalosCA(time.Now())
		auth = tls.NoClientCert
	}
	clients := stdx509.NewCertPool()
	clients.AddCert(m.ca.Crt)
	pair, err := x509.NewKeyPair(ca, x509.CommonName(m.node), x509.DNSNames([]string{m.node}), x509.IPAddresses([]net.IP{net.ParseIP(m.addr)}))
	m.socket = &socket{}
	if err == nil {
		m.socket.Listener, err = net.Listen("tcp", net.JoinHostPort(m.addr, port))
	}
	if err != nil {
		record("listen failed", "machine", m.name, "error", err.Error())
		return // not serving: tried again in the next round
	}
	pings := keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true} // Talos clients ping every ten seconds
	m.srv = grpc.NewServer(grpc.UnknownServiceHandler(l.front(m, mode == "maintenance")), grpc.KeepaliveEnforcementPolicy(pings), grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*pair.Certificate}, ClientCAs: clients, ClientAuth: auth})))
	m.serving = true
	go m.srv.Serve(m.socket) //nolint:errcheck // ends with Stop
}

func (m *machine) shut() {
	if m.srv != nil {
		m.srv.Stop()
		_ = m.socket.Close() // Stop knows nothing of a listener before Serve has begun
	}
	m.srv, m.mode, m.serving = nil, "down", false
}

// unplug shuts the port as a power cut does: connections are reset, not closed.
func (m *machine) unplug() {
	if m.socket != nil {
		m.socket.unplugged.Store(true)
	}
	m.shut()
}

// socket is a machine's listener. Once unplugged, nothing more is said on its connections, not even goodbye: whoever is
// at the other end sees a reset.
type socket struct {
	net.Listener
	unplugged atomic.Bool
}

func (s *socket) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &plug{conn, s}, nil
}

type plug struct {
	net.Conn
	socket *socket
}

func (p *plug) Write(b []byte) (int, error) {
	if p.socket.unplugged.Load() {
		return 0, syscall.ECONNRESET
	}
	return p.Conn.Write(b)
}

func (p *plug) Close() error {
	if tcp, is := p.Conn.(*net.TCPConn); is && p.socket.unplugged.Load() {
		_ = tcp.SetLinger(0)
	}
	return p.Conn.Close()
}
