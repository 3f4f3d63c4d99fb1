/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/cluster_status.h"

#include "admin/dump/status.h"
#include "config/snapshot.h"
#include "user/base/json_writer.h"
#include "user/base/log.h"
#include "user/mcp/json/json_text.h"
#include "user/net/host_addresses.h"
#include "user/net/own_address.h"

/* `status.loadBalancer.ingress` of the Gateway's Service. */
static uint32_t service_addresses(const void *context, const struct status_object *gateway,
				  struct status_address *list, uint32_t max)
{
	const struct service_writer *services = context;
	struct mcp_json_walk walk =
		mcp_json_walk_of(service_writer_ingress(services, gateway->namespace, gateway->name));
	uint32_t count = 0;
	struct span key, entry;

	while (count < max && mcp_json_next(&walk, &key, &entry)) {
		struct span ip = mcp_json_string(mcp_json_member(entry, SPAN("ip"))),
			    hostname = mcp_json_string(mcp_json_member(entry, SPAN("hostname")));

		if (ip.len || hostname.len)
			list[count++] = (struct status_address){ .value = ip.len ? ip : hostname,
								 .is_hostname = !ip.len };
	}
	return count;
}

static void write_served(struct json_writer *w, const struct status_object *gateway)
{
	json_open_object(w, NULL);
	json_string(w, "namespace", gateway->namespace);
	json_string(w, "name", gateway->name);
	json_open_array(w, "ports");
	for (const struct status_port *at = gateway->port_list; at; at = at->next)
		json_u64(w, NULL, at->port);
	json_close(w);
	json_open_array(w, "addresses");
	for (uint32_t i = 0; i < gateway->address_count; i++)
		if (!gateway->address_list[i].is_elsewhere)
			json_string(w, NULL, gateway->address_list[i].value);
	json_close(w);
	json_close(w);
}

/* What the Services are to lead to. */
static void want_services(struct cluster *cluster, const struct snapshot *snapshot)
{
	struct json_writer w;
	struct text items;

	text_init(&items);
	json_begin_compact(&w, &items);
	json_open_object(&w, NULL);
	json_open_array(&w, "items");
	for (const struct status_object *one = snapshot->status_list; one; one = one->next)
		if (one->form == STATUS_GATEWAY)
			write_served(&w, one);
	json_close(&w);
	json_close(&w);
	if (!text_error(&items))
		service_writer_want(&cluster->services, text_span(&items));
	text_done(&items);
}

void cluster_status_write(struct cluster *cluster, const struct snapshot *snapshot,
			  const struct status_listener *const *closed_list, uint32_t closed_count)
{
	const struct text *version = cluster_bundle_version(cluster);
	struct span version_text = version ? text_span(version) : (struct span){ 0 };
	struct host_addresses host;
	struct status_host facts;
	struct text status;

	text_init(&status);
	host_addresses_read(&host);
	facts = (struct status_host){
		.address_list = host.list,
		.address_count = host.count,
		.has_address = own_address_has,
		.closed_list = closed_list,
		.closed_count = closed_count,
		.bundle_version = version ? &version_text : NULL,
		.lacks_experiments = !cluster->definition.is_experimental,
		.leaves_missing_out = true,
	};
	if (cluster->services.is_on) {
		facts.service_addresses = service_addresses;
		facts.context = &cluster->services;
		/* The copy on disk may be old: it would take away the Service of a new Gateway. */
		if (!cluster->is_from_file)
			want_services(cluster, snapshot);
	}
	status_write(snapshot, &facts, &status);
	if (text_error(&status))
		log_error("no memory for the status of the objects: it is not written");
	else
		status_writer_want(&cluster->writer, text_span(&status));
	text_done(&status);
}
