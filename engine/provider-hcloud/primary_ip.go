package main

import (
	"context"
	"strconv"

	"github.com/hashicorp/terraform-plugin-sdk/v2/diag"
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

// orderByLocation gives a primary address the argument "location" that the published plugin has. This upstream
// release knows only "datacenter", which Hetzner takes out of its API in 2026.
func orderByLocation(address *schema.Resource) {
	address.Schema["location"] = &schema.Schema{Type: schema.TypeString, Optional: true, ForceNew: true}
	create := address.CreateContext
	address.CreateContext = func(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
		location, given := d.GetOk("location")
		if !given {
			return create(ctx, d, meta)
		}
		client := meta.(*hcloud.Client)
		result, _, err := client.PrimaryIP.Create(ctx, hcloud.PrimaryIPCreateOpts{
			Name:         d.Get("name").(string),
			Type:         hcloud.PrimaryIPType(d.Get("type").(string)),
			AssigneeType: d.Get("assignee_type").(string),
			AutoDelete:   hcloud.Ptr(d.Get("auto_delete").(bool)),
			Location:     location.(string),
			Labels:       labels(d),
		})
		if err != nil {
			return diag.FromErr(err)
		}
		d.SetId(strconv.FormatInt(result.PrimaryIP.ID, 10))
		if result.Action != nil {
			if err := client.Action.WaitFor(ctx, result.Action); err != nil {
				return diag.FromErr(err)
			}
		}
		if d.Get("delete_protection").(bool) {
			action, _, err := client.PrimaryIP.ChangeProtection(ctx, hcloud.PrimaryIPChangeProtectionOpts{
				ID:     result.PrimaryIP.ID,
				Delete: true,
			})
			if err != nil {
				return diag.FromErr(err)
			}
			if err := client.Action.WaitFor(ctx, action); err != nil {
				return diag.FromErr(err)
			}
		}
		return address.ReadContext(ctx, d, meta)
	}
}

func labels(d *schema.ResourceData) map[string]string {
	result := map[string]string{}
	for name, value := range d.Get("labels").(map[string]any) {
		result[name] = value.(string)
	}
	return result
}
