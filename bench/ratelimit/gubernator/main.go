// One gubernator daemon that is its own only peer. Its own command cannot be had by `go install`, and asks for a way
// to discover peers; everything else here is at its default, as its command would leave it.
//
//	gubernator <gRPC address> <HTTP address>
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/mailgun/gubernator/v2"
	"github.com/sirupsen/logrus"
)

func main() {
	logrus.SetLevel(logrus.WarnLevel)
	self := gubernator.PeerInfo{GRPCAddress: os.Args[1], HTTPAddress: os.Args[2]}
	daemon, err := gubernator.SpawnDaemon(context.Background(), gubernator.DaemonConfig{
		GRPCListenAddress: self.GRPCAddress,
		HTTPListenAddress: self.HTTPAddress,
		AdvertiseAddress:  self.GRPCAddress,
		InstanceID:        "bench",
		Logger:            logrus.WithField("instance", "bench"),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	daemon.SetPeers([]gubernator.PeerInfo{self})
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, os.Interrupt)
	<-ended
	daemon.Close()
}
