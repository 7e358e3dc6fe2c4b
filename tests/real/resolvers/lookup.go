// One lookup by Go's own resolver: lookup FAMILY NAME; exit code 0 if it has an address.
package main

import (
	"context"
	"net"
	"os"
)

func main() {
	network := map[string]string{"AF_UNSPEC": "ip", "AF_INET": "ip4", "AF_INET6": "ip6"}[os.Args[1]]
	resolver := &net.Resolver{PreferGo: true}
	if _, err := resolver.LookupIP(context.Background(), network, os.Args[2]); err != nil {
		os.Exit(1)
	}
}
