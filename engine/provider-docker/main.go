// Command pulumi-resource-docker serves the upstream Docker provider to the Pulumi engine.
//
// The published pulumi_docker Python package is generated from the same upstream provider, so a
// mapping of tokens is all that is needed for a program written against that package.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/terraform-providers/terraform-provider-docker/internal/provider"
)

// version is the release of pulumi_docker whose tokens this binary answers to.
const version = "5.2.0"

func main() {
	info := tfbridge.ProviderInfo{
		P:            shimv2.NewProvider(provider.New(version)()),
		Name:         "docker",
		Version:      version,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
		Resources: map[string]*tfbridge.ResourceInfo{
			"docker_image": {Tok: "docker:index/remoteImage:RemoteImage"},
		},
	}
	info.MustComputeTokens(tokens.SingleModule("docker_", "index", tokens.MakeStandard("docker")))
	// A container gets a unique name, so that its replacement can be healthy before it goes.
	info.SetAutonaming(255, "-")
	tfbridge.Main("docker", version, info, []byte("{}"))
}
