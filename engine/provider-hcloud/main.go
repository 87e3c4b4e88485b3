// Command pulumi-resource-hcloud serves the upstream Hetzner Cloud provider to the Pulumi engine.
//
// The upstream provider is written half on Terraform's older SDK and half (the SSH key) on its
// plugin framework; the bridge's muxer serves both from one process.
package main

import (
	"context"
	"log"

	"github.com/hetznercloud/terraform-provider-hcloud/hcloud"
	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/x/muxer"
	"github.com/pulumi/pulumi-terraform-bridge/v3/unstable/metadata"
)

// version is the release of pulumi_hcloud whose tokens this binary answers to.
const version = "1.43.3"

// dispatcher is what the muxed provider can do although its type is internal to the bridge.
type dispatcher interface {
	ResolveDispatch(info *tfbridge.ProviderInfo) (muxer.DispatchTable, error)
}

func main() {
	ctx := context.Background()
	upstream := hcloud.Provider()
	orderByLocation(upstream.ResourcesMap["hcloud_primary_ip"])
	info := tfbridge.ProviderInfo{
		P:            pfbridge.MuxShimWithPF(ctx, shimv2.NewProvider(upstream), hcloud.NewPluginProvider()),
		Name:         "hcloud",
		Version:      version,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
	}
	info.MustComputeTokens(tokens.SingleModule("hcloud_", "index", tokens.MakeStandard("hcloud")))
	info.SetAutonaming(255, "-")
	// The published plugin computes this table at build time with its schema; without a schema it is computed here.
	table, err := info.P.(dispatcher).ResolveDispatch(&info)
	if err != nil {
		log.Fatalf("pulumi-resource-hcloud: %v", err)
	}
	if err := metadata.Set(info.GetMetadata(), "mux", table); err != nil {
		log.Fatalf("pulumi-resource-hcloud: %v", err)
	}
	pfbridge.MainWithMuxer(ctx, "hcloud", info, []byte("{}"))
}
