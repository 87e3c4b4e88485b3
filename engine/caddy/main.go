// Command caddy is Caddy's standard build plus the Cloudflare DNS module, which answers the DNS-01
// challenge for the wildcard certificate.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddy-dns/cloudflare"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() {
	caddycmd.Main()
}
